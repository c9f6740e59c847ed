"""The finetunes of an account: made, filled, listed, refused, and meant by `lora`."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.adapters import Adapters
from local.catalogue import MODELS
from local.engines import Adapter
from local.finetunes import CONFIG_FILE, WEIGHTS_FILE, FinetuneStore
from tests.local.emulator import HELLO, LLAMA, MISTRAL_LORA, Emulator, Json, build_emulator
from tests.local.test_outbound import API_HOST, BEARER

GEMMA = "@cf/google/gemma-2b-it-lora"
URL = "/client/v4/accounts/acc/ai/finetunes"


@pytest.fixture
def store(tmp_path: Path) -> FinetuneStore:
    return FinetuneStore(tmp_path / "finetunes", max_finetunes=2, max_file_bytes=100)


@pytest.fixture
def tuning(store: FinetuneStore) -> Emulator:
    return build_emulator(finetunes=store)


async def create(emulator: Emulator, name: str = "router", model: Any = GEMMA, **more: Any) -> Any:
    answer = await emulator.client.post(f"{URL}/", json={"model": model, "name": name, **more})
    return answer.json()


async def upload(
    emulator: Emulator,
    finetune: str,
    name: str = CONFIG_FILE,
    content: bytes = b"{}",
    url: str = URL,
) -> httpx.Response:
    return await emulator.client.post(
        f"{url}/{finetune}/finetune-assets/",
        data={"file_name": name},
        files={"file": ("blob", content)},
        headers=BEARER,
    )


def error(answer: Json) -> tuple[int, str]:
    assert answer["success"] is False
    (only,) = answer["errors"]
    return only["code"], only["message"]


async def test_made_filled_listed_and_there_after_a_restart(
    tuning: Emulator, store: FinetuneStore, tmp_path: Path
) -> None:
    made = (await create(tuning, description="ten agents", public=True))["result"]
    assert made["created_at"].endswith("+00:00")
    assert (await upload(tuning, made["id"])).json() == {"success": True}
    assert (await upload(tuning, "router", WEIGHTS_FILE, b"\x00\xff")).json() == {"success": True}
    listed = (await tuning.client.get(URL)).json()
    fields = {"id": made["id"], "name": "router", "model": GEMMA, "description": "ten agents"}
    assert fields.items() <= listed["result"][0].items()
    assert listed["result_info"]["total_count"] == 1
    public = (await tuning.client.get(f"{URL}/public")).json()["result"]
    assert [finetune["name"] for finetune in public] == ["router"]
    again = FinetuneStore(tmp_path / "finetunes")
    assert again.all() == store.all()
    assert (again.folder(again.all()[0]) / WEIGHTS_FILE).read_bytes() == b"\x00\xff"


async def test_pages(tuning: Emulator) -> None:
    for name in ("one", "two"):
        await create(tuning, name)
    second = (await tuning.client.get(f"{URL}/?page=2&per_page=1")).json()
    assert len(second["result"]) == 1
    assert second["result_info"] == {"count": 1, "page": 2, "per_page": 1, "total_count": 2}


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({"model": "@cf/none/such", "name": "a"}, 5007, "No such model @cf/none/such"),
        ({"model": LLAMA, "name": "a"}, 5005, "MODEL_NOT_SUPPORTED"),
        ({"model": GEMMA}, 7001, "name is required"),
        ({"model": 3, "name": "a"}, 7001, "model is required"),
        ({"model": GEMMA, "name": "../a"}, 7001, "'../a'"),
        ({"model": GEMMA, "name": "cf-public-a"}, 7001, "cf-public-"),
        ({"model": GEMMA, "name": "a", "public": "yes"}, 7001, "public"),
        ([], 7001, "object"),
    ],
)
async def test_refused_at_the_making(tuning: Emulator, body: Any, code: int, words: str) -> None:
    answer = await tuning.client.post(URL, json=body)
    assert answer.status_code == 400
    found, message = error(answer.json())
    assert found == code
    assert words in message
    assert (await tuning.client.get(URL)).json()["result"] == []


async def test_a_taken_name_and_a_full_account(tuning: Emulator) -> None:
    await create(tuning, "one")
    assert error(await create(tuning, "one")) == (
        7003,
        "A finetune with the name one already exists",
    )
    await create(tuning, "two")
    assert error(await create(tuning, "three"))[0] == 7004


async def test_a_body_that_is_no_json(tuning: Emulator) -> None:
    answer = await tuning.client.post(URL, content=b"{")
    assert error(answer.json())[0] == 3003
    form = await tuning.client.post(URL, files={"file": b"x"})
    assert error(form.json())[0] == 3003


async def test_refused_files(tuning: Emulator, store: FinetuneStore) -> None:
    await create(tuning)
    assert error((await upload(tuning, "nobody")).json())[0] == 3037
    wrong = await upload(tuning, "router", "adapter_model.bin")
    assert error(wrong.json()) == (
        7001,
        "The file_name 'adapter_model.bin' must be adapter_config.json or "
        "adapter_model.safetensors",
    )
    large = await upload(tuning, "router", WEIGHTS_FILE, b"x" * 100)
    assert (large.status_code, error(large.json())[0]) == (413, 3006)
    assert (await upload(tuning, "router")).status_code == 200
    twice = await upload(tuning, "router", content=b"other")
    assert (twice.status_code, error(twice.json())[0]) == (400, 7005)
    folder = store.folder(store.all()[0])
    assert (folder / CONFIG_FILE).read_bytes() == b"{}"
    assert sorted(file.name for file in folder.iterdir()) == [CONFIG_FILE, "meta.json"]


FORM = {"content-type": "multipart/form-data; boundary=b"}


@pytest.mark.parametrize(
    ("content", "headers", "words"),
    [
        (b"{}", {"content-type": "application/json"}, "multipart/form-data"),
        (b"x", {"content-type": "multipart/form-data"}, "boundary"),
        (b"no form at all", FORM, "no sound form"),
        (b'--b\r\nContent-Disposition: form-data; name="file_name"\r\n\r\nx', FORM, "file_name"),
        (
            b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--b--\r\n',
            FORM,
            "the file",
        ),
    ],
)
async def test_no_sound_form(
    tuning: Emulator, content: bytes, headers: dict[str, str], words: str
) -> None:
    await create(tuning)
    answer = await tuning.client.post(
        f"{URL}/router/finetune-assets", content=content, headers=headers
    )
    assert answer.status_code == 400
    assert words in error(answer.json())[1]


async def test_out_in_the_internet_a_token_is_wanted_and_no_file_is_noted(tuning: Emulator) -> None:
    url = f"/_outbound/{API_HOST}/ai/finetunes"
    body = {"model": GEMMA, "name": "router"}
    assert (await tuning.client.post(url, json=body)).status_code == 401
    made = (await tuning.client.post(url, json=body, headers=BEARER)).json()["result"]
    stored = await upload(tuning, made["id"], WEIGHTS_FILE, b"\xff" * 99, url)
    assert stored.json() == {"success": True}
    call = (await tuning.calls())[-1]
    assert (call["method"], call["body"], call["inputs"]) == ("POST", None, None)
    assert call["size"] > 99
    long = {"model": "m" * 70_000, "name": "a"}
    assert (await tuning.client.post(url, json=long, headers=BEARER)).status_code == 400
    call = (await tuning.calls())[-1]
    assert call["body"] is None
    assert call["size"] > 70_000


FAULTS: list[tuple[Json, int | None]] = [
    ({"kind": "error", "code": 3040}, 429),
    ({"kind": "status", "status": 503}, 503),
    ({"kind": "reject"}, 400),
    ({"kind": "slow", "delay_ms": 5}, 200),
    ({"kind": "malformed_json"}, 200),
    ({"kind": "refuse"}, None),
    ({"kind": "hang"}, None),
]


@pytest.mark.parametrize(("fault", "status"), FAULTS)
@pytest.mark.parametrize("step", ["create", "assets", "list"])
async def test_faults_by_step(tuning: Emulator, step: str, fault: Json, status: int | None) -> None:
    await create(tuning, "one")
    await tuning.fault(f"finetunes:{step}", times=1, **fault)
    url = f"/_outbound/{API_HOST}/ai/finetunes"

    async def ask(name: str) -> httpx.Response:
        if step == "create":
            body = {"model": GEMMA, "name": name}
            return await tuning.client.post(url, json=body, headers=BEARER)
        if step == "assets":
            return await upload(tuning, "one", url=url)
        return await tuning.client.get(url, headers=BEARER)

    answer = await ask("two")
    if status is None:
        assert answer.headers["x-local-failure"] == "refuse"
    else:
        assert answer.status_code == status
    if fault["kind"] == "malformed_json":
        with pytest.raises(json.JSONDecodeError):
            answer.json()
    done_already = status == 200 and step != "list"  # the answer was lost or late, the work was not
    assert (await ask("two")).status_code == (400 if done_already else 200)


async def test_a_share_of_a_half_is_every_second_file(tuning: Emulator) -> None:
    await create(tuning)
    await tuning.fault("finetunes:assets", kind="status", status=500, share=0.5, times=1)
    assert (await upload(tuning, "router")).status_code == 200
    assert (await upload(tuning, "router", WEIGHTS_FILE)).status_code == 500
    assert (await upload(tuning, "router", WEIGHTS_FILE)).status_code == 200


@pytest.mark.parametrize(
    ("key", "fault", "words"),
    [
        ("finetunes:delete", {"kind": "refuse"}, "no step"),
        ("finetunes:list", {"kind": "empty"}, "cannot be of kind 'empty'"),
    ],
)
async def test_faults_that_no_step_has(
    emulator: Emulator, key: str, fault: Json, words: str
) -> None:
    answer = await emulator.client.put("/_local/faults", json={key: fault})
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


async def test_faults_of_all_models_are_not_those_of_finetunes(tuning: Emulator) -> None:
    await tuning.fault("*", kind="status", status=500)
    assert (await create(tuning))["success"]


async def test_lora_means_a_finetune_by_name_and_by_id(
    tuning: Emulator, store: FinetuneStore
) -> None:
    made = (await create(tuning))["result"]
    asked = {**HELLO, "lora": "router"}
    empty = await tuning.run(asked, GEMMA)
    assert (empty.status_code, error(empty.json())[0]) == (400, 3039)
    await upload(tuning, "router")
    half = await tuning.run(asked, GEMMA)
    assert f"{WEIGHTS_FILE} of router was not uploaded" in error(half.json())[1]
    await upload(tuning, "router", WEIGHTS_FILE)
    for lora in ("router", made["id"]):
        assert (await tuning.run({**HELLO, "lora": lora}, GEMMA)).status_code == 200
    other = await tuning.run(asked, MISTRAL_LORA)
    assert error(other.json())[0] == 3037
    nobody = await tuning.run({**HELLO, "lora": "nobody"}, GEMMA)
    assert error(nobody.json())[0] == 3037
    adapters = Adapters(store, frozenset({"old"}))
    assert adapters.find(MODELS[GEMMA], made["id"]) == Adapter(
        "router", store.folder(store.all()[0])
    )
    assert adapters.find(MODELS[GEMMA], "old") == Adapter("old")


def test_what_was_left_by_halves_is_no_finetune(tmp_path: Path) -> None:
    (tmp_path / ".0").mkdir()
    (tmp_path / "1").mkdir()
    assert FinetuneStore(tmp_path).all() == []
    assert not (tmp_path / ".0").exists()


def test_a_part_of_a_file_is_cleared_away(tmp_path: Path) -> None:
    store = FinetuneStore(tmp_path)
    made = store.create(name="router", model=GEMMA, description="", public=False)
    (store.folder(made) / ".part").write_bytes(b"half")
    again = FinetuneStore(tmp_path)
    assert again.missing(made) == [CONFIG_FILE, WEIGHTS_FILE]
    assert not (again.folder(made) / ".part").exists()


async def test_a_full_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    emulator = build_emulator(finetunes=FinetuneStore(tmp_path / "file"))
    assert error(await create(emulator))[0] == 3043
