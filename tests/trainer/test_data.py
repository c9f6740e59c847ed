"""What is no export for a trainer is refused before anything is loaded, by its line."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.exports import chat_line, prompt_line, questions, write, write_export
from trainer.data import read_data, split_off, without
from trainer.errors import TrainingError

GOOD = [prompt_line("my laptop", "it"), prompt_line("my leave", "hr")]


def stating(question: str, agent: str) -> dict[str, Any]:
    answer = {"role": "assistant", "content": json.dumps({"agent": agent, "confidence": 1.0})}
    return {**prompt_line(question, agent), "completion": [answer]}


def test_both_formats_say_the_same(tmp_path: Path) -> None:
    some = questions(5)
    chat = read_data(write(tmp_path / "chat", [chat_line(*one) for one in some]))
    prompt = read_data(write(tmp_path / "prompt", [prompt_line(*one) for one in some]))
    assert chat.examples == prompt.examples
    assert chat.rows == 10


def test_a_manifest_is_no_line(tmp_path: Path) -> None:
    data = read_data(write(tmp_path / "data", [{"manifest": {"rows": 2}}, *GOOD]))
    assert (data.rows, [each.line for each in data.examples]) == (2, [2, 3])
    assert data.label_set_hash is None


def test_a_manifest_names_the_labels(tmp_path: Path) -> None:
    manifest = {"manifest": {"rows": 2, "label_set_hash": "ab" * 32}}
    assert read_data(write(tmp_path / "data", [manifest, *GOOD])).label_set_hash == "ab" * 32
    assert read_data(write(tmp_path / "none", GOOD)).label_set_hash is None


def with_manifest(tmp_path: Path, **manifest: Any) -> Path:
    lines = "".join(json.dumps(line) + "\n" for line in GOOD)
    sha256 = hashlib.sha256(lines.encode()).hexdigest()
    path = tmp_path / "data"
    first = json.dumps({"manifest": {"rows": 2, "sha256": sha256, **manifest}})
    path.write_text(f"{first}\n{lines}")
    return path


def test_the_manifests_checksum_is_that_of_the_lines(tmp_path: Path) -> None:
    path = with_manifest(tmp_path)
    assert read_data(path).rows == 2
    path.write_text(path.read_text().replace("laptop", "tablet"))
    with pytest.raises(TrainingError, match="its lines are not those of its manifest"):
        read_data(path)
    path.write_bytes(with_manifest(tmp_path).read_bytes().replace(b"\n", b"\r\n"))
    with pytest.raises(TrainingError, match="or its line endings were"):
        read_data(path)
    with pytest.raises(TrainingError, match="there are 2; it was cut off or changed"):
        read_data(with_manifest(tmp_path, rows=3, sha256="0" * 64))


def test_duplicates_are_left_out_and_counted(tmp_path: Path) -> None:
    data = read_data(write(tmp_path / "data", [*GOOD, GOOD[0]]))
    assert (data.rows, data.duplicates, len(data.examples)) == (3, 1, 2)


def test_characters_that_look_like_line_ends_are_none(tmp_path: Path) -> None:
    lines = [prompt_line("a\u2028b\x85c", "it"), GOOD[1]]
    path = tmp_path / "data"
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    assert read_data(path).rows == 2


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "no lines to learn from"),
        ([GOOD[0], GOOD[0]], "every line has the same answer"),
        ([GOOD[0], {"query": "x", "agent": "it"}], "line 2: this is the format flat"),
        ([GOOD[0], {"text": "x"}], "line 2: it has neither"),
        ([GOOD[0], ["x"]], "line 2: it has neither"),
        ([GOOD[0], {"messages": []}], "line 2"),
        ([GOOD[0], {"messages": [{"role": "user", "content": "x"}]}], "line 2"),
        ([GOOD[0], {"prompt": [{"role": "user"}], "completion": [{}]}], "line 2"),
        ([*GOOD, prompt_line("my laptop", "hr")], "line 3: the same question has another answer"),
        ([*GOOD, {**GOOD[0], "completion": [{"role": "assistant", "content": " "}]}], "is empty"),
        ([*GOOD, prompt_line("my tax", "finance")], "line 3: the answer names the agent 'finance'"),
        # A part of a word of the prompt, and a word of it, are no agents that it offers.
        ([*GOOD, prompt_line("my tax", "con")], "line 3: the answer names the agent 'con'"),
        ([*GOOD, prompt_line("my tax", "VPN")], "line 3: the answer names the agent 'VPN'"),
        ([*GOOD, stating("my tax", "it")], "line 3: the answer states a confidence"),
        ([{"manifest": {"rows": 3}}, *GOOD], "its manifest says 3 lines, but there are 2"),
    ],
)
def test_what_is_no_export_is_message_by_its_line(
    tmp_path: Path, lines: list[Any], message: str
) -> None:
    with pytest.raises(TrainingError, match=message) as caught:
        read_data(write(tmp_path / "data", lines))
    assert "/v1/datasets/export?format=prompt" in str(caught.value) or "Label" in str(caught.value)


def test_what_is_no_json(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(json.dumps(GOOD[0]).encode() + b"\n{broken\n")
    with pytest.raises(TrainingError, match="line 2: this is not JSON"):
        read_data(path)
    with pytest.raises(TrainingError, match="cannot be read"):
        read_data(tmp_path / "nowhere")


def test_what_is_held_out_stays_so_when_lines_come(tmp_path: Path) -> None:
    few = read_data(write_export(tmp_path / "few", 40))
    more = read_data(write(tmp_path / "more", [prompt_line(*one) for one in questions(40)] + GOOD))
    learned, held_out = split_off(few)
    assert {each.prompt for each in held_out} <= {each.prompt for each in split_off(more)[1]}
    assert len(learned) + len(held_out) == 80
    assert 2 <= len(held_out) <= 20
    assert without(few.examples, held_out) == learned


def test_what_is_held_out_is_not_learned_under_other_agents(tmp_path: Path) -> None:
    """Two exports, between which an agent was added."""
    data = read_data(write(tmp_path / "data", [*GOOD, prompt_line("my screen", "it")]))
    text = json.dumps([prompt_line("My  LAPTOP", "it"), GOOD[1]]).replace("Agents:", "All agents:")
    others = read_data(write(tmp_path / "others", json.loads(text)))
    assert {each.prompt for each in data.examples}.isdisjoint(
        each.prompt for each in others.examples
    )
    assert [each.question for each in without(data.examples, others.examples)] == ["my screen"]


def test_none_is_an_answer_like_another(tmp_path: Path) -> None:
    data = read_data(write(tmp_path / "data", [*GOOD, prompt_line("my cat", "none")]))
    assert len(data.answers) == 3


def test_too_few_lines_to_hold_some_out(tmp_path: Path) -> None:
    learned, _ = split_off(read_data(write_export(tmp_path / "many", 40)))
    first, second = (each.prompt[-1][1] for each in learned[:2])
    lines = [prompt_line(first, "it"), prompt_line(second, "hr")]
    with pytest.raises(TrainingError, match="too few lines"):
        split_off(read_data(write(tmp_path / "few", lines)))
