"""Workloads whose items name pictures or clips."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bench import media
from bench.errors import InputError
from bench.media import sha256_of
from bench.workload_files import validate_file
from bench.workloads import Workload, builtin_workloads, read_workload


def picture(folder: Path, name: str, colour: str = "red") -> bytes:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path)
    return path.read_bytes()


def written(folder: Path, *lines: dict[str, Any]) -> Path:
    path = folder / "items.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def read(path: Path, task: str = "vision", score: str = "contains") -> Workload:
    return read_workload(path, name="own", task=task, score=score, where="sweep.toml")


def seen(number: int, image: str, **more: Any) -> dict[str, Any]:
    return {"id": f"q{number}", "image": image, "prompt": "Which colour is it?", "answer": "red", **more}


def test_an_item_holds_the_hash_of_its_picture_and_the_workload_the_content(tmp_path: Path) -> None:
    content = picture(tmp_path, "pictures/a.png")
    workload = read(written(tmp_path, seen(1, "pictures/a.png")))
    assert workload.task == "vision"
    assert workload.items[0].image == sha256_of(content)
    assert workload.media == {sha256_of(content): content}
    assert workload.media_paths is None
    assert "media" not in workload.model_dump()
    assert workload.max_new_tokens == 64


def test_another_picture_under_the_same_name_is_another_workload(tmp_path: Path) -> None:
    path = written(tmp_path, seen(1, "a.png"))
    picture(tmp_path, "a.png", "red")
    before = read(path).digest()
    picture(tmp_path, "a.png", "blue")
    assert read(path).digest() != before


def test_a_picture_that_two_items_show_is_there_once(tmp_path: Path) -> None:
    picture(tmp_path, "a.png")
    workload = read(written(tmp_path, seen(1, "a.png"), seen(2, "a.png", prompt="What is it?")))
    assert len(workload.items) == 2
    assert len(workload.media) == 1


def test_a_clip_needs_no_prompt(tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_bytes(b"fLaC")
    workload = read(written(tmp_path, {"id": "c1", "audio": "a.flac", "answer": "hello"}), "speech", "wer")
    assert workload.items[0].prompt == ""
    assert workload.items[0].audio == sha256_of(b"fLaC")
    assert workload.max_new_tokens is None


@pytest.mark.parametrize(
    ("line", "field", "message"),
    [
        (seen(1, "gone.png"), "image", "there is no file"),
        (seen(1, ""), "image", "is missing: give the path"),
        ({"id": "q1", "prompt": "p", "answer": "a"}, "image", "is missing: give the path"),
        (seen(1, "text.png"), "image", "text.png: this is no picture: 18 bytes of no format"),
        (seen(1, "empty.png"), "image", "is empty"),
        (seen(1, "."), "image", "is no regular file"),
        (seen(1, "a.png", audio="a.flac"), "audio", "does not go with task = 'vision'"),
        (seen(1, "a.png", example=True), "example", "a vision workload has no examples"),
        ({**seen(1, "a.png"), "prompt": ""}, "prompt", "is empty"),
    ],
)
def test_faults_of_a_line(tmp_path: Path, line: dict[str, Any], field: str, message: str) -> None:
    picture(tmp_path, "a.png")
    (tmp_path / "text.png").write_text("this is no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    (fault,) = validate_file(written(tmp_path, line), task="vision", score="contains")
    assert (fault.line, fault.field) == (1, field)
    assert message in fault.message


def test_faults_of_a_line_for_speech(tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_bytes(b"fLaC")
    clip = {"id": "c1", "audio": "a.flac", "answer": "hello"}
    (fault,) = validate_file(written(tmp_path, {**clip, "prompt": "Write"}), task="speech", score="wer")
    assert fault.field == "prompt"
    (fault,) = validate_file(written(tmp_path, clip, {**clip, "id": "c2"}), task="speech", score="wer")
    assert (fault.line, fault.field, fault.message) == (2, "audio", "'a.flac' is already on line 1")


def test_a_picture_goes_with_no_text_workload(tmp_path: Path) -> None:
    picture(tmp_path, "a.png")
    (fault,) = validate_file(written(tmp_path, seen(1, "a.png")), task="text", score="contains")
    assert fault.field == "image"


def test_the_same_question_of_two_pictures_is_no_duplicate(tmp_path: Path) -> None:
    picture(tmp_path, "a.png", "red")
    picture(tmp_path, "b.png", "blue")
    path = written(tmp_path, seen(1, "a.png"), seen(2, "b.png"), seen(3, "a.png"))
    (fault,) = validate_file(path, task="vision", score="contains")
    assert (fault.line, fault.field) == (3, "prompt")


def test_wer_is_for_speech_alone(tmp_path: Path) -> None:
    picture(tmp_path, "a.png")
    with pytest.raises(InputError, match="wer"):
        read(written(tmp_path, seen(1, "a.png")), score="wer")


def test_media_that_is_too_large_to_travel_is_named_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(picture(tmp_path, "pictures/a.png"))
    picture(tmp_path, "pictures/b.png", "blue")
    monkeypatch.setattr(media, "MAX_TRAVELLING_BYTES", size)
    workload = read(written(tmp_path, seen(1, "pictures/a.png"), seen(2, "pictures/b.png")))
    assert workload.media == {}
    assert workload.media_paths == {
        workload.items[0].image: "pictures/a.png",
        workload.items[1].image: "pictures/b.png",
    }


def test_built_in_pictures_and_clips_come_with_their_content() -> None:
    for name in ("shapes", "dictation"):
        workload = builtin_workloads()[name]
        assert {item.media for item in workload.items} == set(workload.media)
        assert all(sha256_of(content) == key for key, content in workload.media.items())
