"""`npm run adapter`: every step and every way it fails, over real sockets."""

import hashlib
import json
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from edgeneuro.adapter.bases import wrong_name
from scripts.adapter import main
from tests.unit.adapters import GEMMA, config_for, header_of, tensors_for
from tests.unit.fake_cloudflare import (
    ROOT,
    Answer,
    FakeServer,
    RecordedRequest,
    fake_server,
    ok,
    refused,
)

ID = "0f0f0f0f-0000-4000-8000-000000000001"
MADE = {"id": ID, "name": "router-1", "model": GEMMA, "description": ""}
LIST = f"GET {ROOT}?page=1&per_page=50"
CREATE = f"POST {ROOT}"
ASSET = f"POST {ROOT}/{ID}/finetune-assets"
ALREADY = refused(409, "adapter_config.json was uploaded already", 10020)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_TOKEN", "k")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Weights of some 600 KB: more than one block."""
    path = tmp_path / "adapter"
    path.mkdir()
    modules = ("q_proj",)
    start, size = header_of(tensors_for(GEMMA, rank=4, modules=modules, dtype="F16"))
    (path / "adapter_config.json").write_text(
        json.dumps(config_for(GEMMA, rank=4, modules=modules))
    )
    (path / "adapter_model.safetensors").write_bytes(start + bytes(size - len(start)))
    return path


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    with fake_server() as fake:
        monkeypatch.setenv("CLOUDFLARE_API_BASE_URL", f"{fake.base_url}/client/v4")
        monkeypatch.setenv("CLOUDFLARE_ACCOUNT_ID", "acc")
        monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "a-token")
        yield fake


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACCOUNT_ID", "API_TOKEN", "API_BASE_URL"):
        monkeypatch.delenv(f"CLOUDFLARE_{name}", raising=False)


def ended(*words: object) -> str:
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words], sleep=lambda seconds: None)
    assert end.value.code not in (0, None, 2)
    return str(end.value.code)


def runs(*words: object) -> None:
    main([str(word) for word in words], sleep=lambda seconds: None)


def parts(asked: RecordedRequest) -> dict[str, bytes]:
    """The fields of a multipart body, as another reader reads them."""
    head = f"content-type: {asked.headers['content-type']}\r\n\r\n".encode()
    message = message_from_bytes(head + asked.body)
    found = {}
    for part in message.get_payload():
        assert not isinstance(part, str)
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        assert isinstance(name, str)
        assert isinstance(content, bytes)
        found[name] = content
    return found


class TestCheck:
    def test_line_by_line(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        runs("check", folder)
        shown = capsys.readouterr().out
        assert f"For {GEMMA}:" in shown
        assert "  ✓ rank               4 of at most 8\n" in shown
        assert "  – slots\n      Cloudflare was not asked" in shown  # noqa: RUF001

    def test_a_broken_rule(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        change_config(folder, r=64)
        assert "2 of 16 rules are broken" in ended("check", folder)
        assert "  ✗ rank               64\n      The rank is 64; " in capsys.readouterr().out

    def test_slots_are_asked_for(
        self, folder: Path, server: FakeServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        first = [MADE | {"id": str(n)} for n in range(50)]
        server.script += [ok([first]), ok([MADE])]
        runs("check", folder)
        assert "51 of 100 used" in capsys.readouterr().out
        assert server.calls() == [LIST, LIST.replace("page=1", "page=2", 1)]
        assert server.asked[0].headers["authorization"] == "Bearer a-token"

    def test_an_account_that_is_full(self, folder: Path, server: FakeServer) -> None:
        every = [MADE | {"id": str(n)} for n in range(100)]
        server.script += [ok(every), ok(every)]  # it does not page
        assert "1 of 16" in ended("check", folder)

    def test_slots_that_are_not_told_break_nothing(
        self, folder: Path, server: FakeServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        server.script += [refused(403, "Authentication error", 10000)]
        runs("check", folder)
        assert "403 Authentication error (10000)" in capsys.readouterr().out

    def test_the_base_by_the_training_card(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        card = {"cloudflare_base": "@cf/google/gemma-7b-it-lora"}
        (folder / "training_card.json").write_text(json.dumps(card))
        ended("check", folder)
        assert "For @cf/google/gemma-7b-it-lora:" in capsys.readouterr().out
        runs("check", folder, "--base", "google/gemma-2b-it")
        assert f"For {GEMMA}:" in capsys.readouterr().out

    def test_weights_of_another_training(self, folder: Path, server: FakeServer) -> None:
        weights = folder / "adapter_model.safetensors"
        sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
        card = {"cloudflare_base": GEMMA, "adapter_sha256": sha256}
        (folder / "training_card.json").write_text(json.dumps(card))
        runs("check", folder)
        card["adapter_sha256"] = "0" * 64
        (folder / "training_card.json").write_text(json.dumps(card))
        for command in (["check"], ["upload", "--name", "x1"], ["register", "--name", "x1"]):
            shown = ended(command[0], folder, *command[1:])
            assert "is not the file that training_card.json is of" in shown
        assert not [asked for asked in server.asked if asked.method == "POST"]

    def test_a_base_that_nothing_tells(self, folder: Path) -> None:
        change_config(folder, base_model_name_or_path="./mine")
        assert "Name it with --base" in ended("check", folder)

    def test_a_folder_that_is_none(self, tmp_path: Path) -> None:
        assert "Name the folder that holds" in ended("check", tmp_path / "nowhere")
        assert "Name it with --base" in ended("check", tmp_path)
        assert "1 of 16 rules" in ended("check", tmp_path, "--base", GEMMA)

    def test_a_pickle_is_not_opened(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (folder / "adapter_model.safetensors").write_bytes(b"\x80\x02cposix\nsystem\n")
        ended("check", folder)
        assert "a Python pickle" in capsys.readouterr().out


def change_config(folder: Path, **change: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


class TestUpload:
    def test_all_of_it(
        self, folder: Path, server: FakeServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        server.script += [ok([]), ok(MADE), ok(), ok()]
        runs("upload", folder, "--name", "router-1")
        assert server.calls() == [LIST, CREATE, ASSET, ASSET]
        assert server.asked[1].json == {"model": GEMMA, "name": "router-1", "description": ""}
        for asked, name in zip(
            server.asked[2:], ("adapter_config.json", "adapter_model.safetensors"), strict=True
        ):
            found = parts(asked)
            assert found["file_name"] == name.encode()
            assert found["file"] == (folder / name).read_bytes()
        assert f"router-1 ({ID}) is there with both files" in capsys.readouterr().out

    def test_later_commands_know_its_name(self, folder: Path, server: FakeServer) -> None:
        server.script += [ok([]), ok(MADE), ok(), ok(), ok([MADE]), ALREADY, ALREADY]
        runs("upload", folder, "--name", "router-1")
        runs("upload", folder)
        assert server.calls()[4:] == [LIST, ASSET, ASSET]

    def test_a_second_time(
        self, folder: Path, server: FakeServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        early = Answer(409, ALREADY.body, "early")
        server.script += [ok([MADE]), ALREADY, early]
        runs("upload", folder, "--name", "router-1")
        assert "was there already with both files" in capsys.readouterr().out

    def test_what_is_missing_is_sent(
        self, folder: Path, server: FakeServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        server.script += [ok([[MADE]]), ALREADY, ok()]
        runs("upload", folder, "--name", "router-1")
        shown = capsys.readouterr().out
        assert "adapter_config.json: was there already" in shown
        assert "adapter_model.safetensors: sent" in shown

    def test_a_name_of_another_model(self, folder: Path, server: FakeServer) -> None:
        server.script += [ok([MADE | {"model": "@cf/google/gemma-7b-it-lora"}])]
        assert "for @cf/google/gemma-7b-it-lora. Choose another" in ended(
            "upload", folder, "--name", "router-1"
        )
        assert server.calls() == [LIST]

    def test_a_full_account_that_has_it_goes_on(self, folder: Path, server: FakeServer) -> None:
        every = [MADE | {"id": str(n), "name": str(n)} for n in range(99)]
        server.script += [ok([MADE, *every]), ok([MADE, *every]), ALREADY, ALREADY]
        runs("upload", folder, "--name", "router-1")

    def test_what_fails_the_preflight_is_not_sent(self, folder: Path, server: FakeServer) -> None:
        server.script += [ok([])]
        change_config(folder, model_type="llama")
        assert "1 of 16 rules" in ended("upload", folder, "--name", "router-1")
        assert server.calls() == [LIST]

    def test_the_configuration_is_sent_in_the_documented_form(
        self, folder: Path, server: FakeServer
    ) -> None:
        change_config(folder, model_type=None, target_modules=".*q_proj")
        written = (folder / "adapter_config.json").read_bytes()
        server.script += [ok([]), ok(MADE), ok(None), ok(None)]
        runs("upload", folder, "--name", "router-1")
        [asset] = [each for each in server.asked if b"lora_alpha" in each.body]
        sent = json.loads(parts(asset)["file"])
        assert (sent["model_type"], sent["target_modules"]) == ("gemma", ["q_proj"])
        assert (folder / "adapter_config.json").read_bytes() == written

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (refused(401, "Invalid API Token", 1000), "401 Invalid API Token (1000)"),
            (refused(500, "down"), "500 down"),
            (Answer(502, b"<html>"), "502 Bad Gateway"),
            (Answer(200, b"<html>"), "200 without success"),
            (Answer(200, {"success": False, "errors": "no list"}), "200 without success"),
            (Answer(fails="drop"), "the connection failed"),
            (Answer(fails="silent"), "no answer within 0.3 s"),
        ],
    )
    @pytest.mark.parametrize(
        ("before", "now"),
        [
            ([], "Nothing was sent."),
            ([ok([])], "was not created"),
            ([ok([]), ok(MADE)], "is there, without files; it cannot be used"),
            ([ok([]), ok(MADE), ok()], "is there, with adapter_config.json; it cannot be used"),
            ([ok([MADE]), ALREADY], "is there, with adapter_config.json; it cannot be used"),
        ],
    )
    def test_each_step_fails(
        self,
        folder: Path,
        server: FakeServer,
        before: list[Answer],
        now: str,
        answer: Answer,
        words: str,
    ) -> None:
        server.script += [*before, answer]
        shown = ended("upload", folder, "--name", "router-1", "--timeout", "0.3")
        assert words in shown
        assert now in shown
        assert len(server.asked) == len(before) + 1
        assert not (folder / "finetune.json").exists()

    def test_a_creation_of_unknown_end(self, folder: Path, server: FakeServer) -> None:
        server.script += [ok([]), refused(400, "no such model")]
        assert "Nothing was created" in ended("upload", folder, "--name", "router-1")
        server.script += [ok([]), refused(503, "busy")]
        assert "the same command finds out" in ended("upload", folder, "--name", "router-1")
        server.script += [ok([MADE]), ok(), ok()]
        runs("upload", folder, "--name", "router-1")

    def test_an_answer_without_an_id(self, folder: Path, server: FakeServer) -> None:
        server.script += [ok([]), ok({"name": "router-1"})]
        assert "without the finetune's id" in ended("upload", folder, "--name", "router-1")

    def test_a_refusal_in_the_middle_of_a_file(self, folder: Path, server: FakeServer) -> None:
        early = Answer(413, refused(413, "too large").body, "early")
        server.script += [ok([]), ok(MADE), ok(), early]
        shown = ended("upload", folder, "--name", "router-1")
        assert "adapter_model.safetensors was not sent" in shown

    def test_without_an_account_or_a_name(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert "Set CLOUDFLARE_ACCOUNT_ID" in ended("upload", folder, "--name", "a")
        assert "with --name" in ended("upload", folder)
        assert "Cloudflare's own" in ended("upload", folder, "--name", "cf-public-x")
        monkeypatch.setenv("CLOUDFLARE_ACCOUNT_ID", "acc")
        monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "a\nb")
        assert "CLOUDFLARE_API_TOKEN has characters" in ended("upload", folder, "--name", "a")
        monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "ab")
        monkeypatch.setenv("CLOUDFLARE_API_BASE_URL", "api.cloudflare.com")
        assert "CLOUDFLARE_API_BASE_URL is" in ended("upload", folder, "--name", "a")


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("router-1", True),
        ("a", True),
        ("A.b_c-9", True),
        ("a" * 100, True),
        ("a" * 101, False),
        ("", False),
        (".hidden", False),
        ("a/b", False),
        ("a b", False),
        ("a\n", False),
        ("ä", False),
        ("CF-Public-x", False),
    ],
)
def test_names_of_finetunes(name: str, right: bool) -> None:
    assert (wrong_name(name) == "") is right


def lora(state: str, *steps: tuple[str, str, str | None], error: Any = None) -> Answer:
    named = [{"name": name, "state": state, "message": shown} for name, state, shown in steps]
    return Answer(200, {"id": "lora_1", "state": state, "steps": named, "error": error})


class TestRegister:
    def test_each_step_is_told_once(
        self, folder: Path, server: FakeServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        probe = ("probe", "running", None)
        server.script += [
            lora("queued"),
            lora("running", ("preflight", "done", None), probe),
            lora("running", ("preflight", "done", None), probe),
            lora("available", ("preflight", "done", None), ("probe", "done", "answers hr")),
        ]
        where = ["--base-url", server.base_url]
        runs("register", folder, "--name", "router-1", *where)
        shown = capsys.readouterr().out
        assert server.asked[0].json == {"name": "router-1", "base_model": GEMMA}
        assert server.asked[0].headers["authorization"] == "Bearer k"
        assert server.calls() == ["POST /v1/loras", *["GET /v1/loras/lora_1"] * 3]
        assert shown.count("preflight    done") == 1
        assert "probe        done       answers hr" in shown
        assert "lora_1  router-1  available" in shown

    def test_the_labels_of_the_training_card_go_along(
        self, folder: Path, server: FakeServer
    ) -> None:
        card = {"data": {"label_set_hash": "ab" * 32, "rows": 90}}
        (folder / "training_card.json").write_text(json.dumps(card))
        server.script += [lora("available", ("probe", "done", "answers hr"))]
        runs("register", folder, "--name", "router-1", "--base-url", server.base_url)
        assert server.asked[0].json == {
            **{"name": "router-1", "base_model": GEMMA},
            **{"data_sha256": "ab" * 32, "data_labels": 90},
        }

    def test_one_that_fails(self, folder: Path, server: FakeServer) -> None:
        error = {"code": "upstream_error", "message": "The probe failed: 3039."}
        server.script += [lora("failed", ("probe", "failed", "3039"), error=error)]
        shown = ended("register", folder, "--name", "router-1", "--base-url", server.base_url)
        assert "The probe failed: 3039. Fix this, then POST /v1/loras/lora_1/retry" in shown

    def test_a_product_that_refuses_or_leaves(self, folder: Path, server: FakeServer) -> None:
        words = ["register", folder, "--name", "router-1", "--base-url", server.base_url]
        server.script += [Answer(409, {"error": {"message": "It is there already."}})]
        assert "409 It is there already." in ended(*words)
        server.script += [lora("queued"), Answer(503, {"error": {"message": "D1 is unavailable."}})]
        assert "lora_1 continues in the Worker: GET /v1/loras/lora_1" in ended(*words)
        words[-1] = "http://127.0.0.1:9"
        assert "npm start" in ended(*words)

    def test_what_fails_the_preflight_is_not_registered(
        self, folder: Path, server: FakeServer
    ) -> None:
        change_config(folder, bias="all")
        words = ["register", folder, "--name", "router-1", "--base-url", server.base_url]
        assert "1 of 16 rules" in ended(*words)
        assert server.asked == []


class TestSelect:
    @pytest.mark.parametrize(
        ("words", "body"),
        [
            ([], {}),
            (["--check"], {"check": True}),
            (["--challenger", "12.5"], {"challenger": 12.5}),
            (["--check", "--challenger", "0"], {"check": True, "challenger": 0.0}),
        ],
    )
    def test_only_what_is_given_is_sent(
        self, server: FakeServer, words: list[str], body: dict[str, Any]
    ) -> None:
        server.script += [Answer(200, {"active": "router-1", "previous": "@cf/a/b"})]
        runs("select", "router-1", "--base-url", server.base_url, *words)
        assert server.calls() == ["POST /v1/models/select"]
        assert server.asked[0].json == {"model_id": "router-1"} | body

    def test_by_the_folder(
        self, folder: Path, server: FakeServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        server.script += [Answer(200, {"active": "x", "previous": "y"})] * 2
        runs("select", folder, "--base-url", server.base_url)
        (folder / "finetune.json").write_text('{"name": "router-1"}')
        runs("select", folder, "--base-url", server.base_url)
        assert [asked.json["model_id"] for asked in server.asked] == ["adapter", "router-1"]
        assert "router-1 is selected; before it was y." in capsys.readouterr().out

    def test_the_check_says_no(self, server: FakeServer) -> None:
        server.script += [Answer(409, {"error": {"message": "It is worse."}})]
        assert "It is worse." in ended("select", "router-1", "--base-url", server.base_url)
