"""A prompt as the model gets it, through the real child process."""

from pathlib import Path
from typing import Any

import pytest

from bench.catalog import ModelEntry
from bench.errors import InputError, ModelError, UnavailableError
from db.settings import Settings
from worker import hub, render
from worker.adapters.text import TextAdapter
from worker.conversation import Origin
from worker.device import CpuDevice
from worker.prompting import Rendered, render_prompt
from worker.weights import resolve_tokenizer

MESSAGES = [{"role": "user", "content": "Hello, what is ü?"}]
TEMPLATE = "{{ bos_token }}{{ messages[-1].content }}{{ '\nAssistant: <think>\n' }}"


def entry(source: str, **fields: Any) -> ModelEntry:
    return ModelEntry.model_validate(
        {"name": "own", "task": "text", "source": source, "memory_gib": {"float32": 1.0}, **fields}
    )


def fed(folder: Path, chat_template: str | None = None) -> tuple[str, int]:
    """Return what the measuring process feeds its model, as text and in tokens."""
    model = TextAdapter.load(folder, "float32", "sdpa", False, CpuDevice(), chat_template=chat_template)
    ids = model.encode(MESSAGES)
    return model.tokenizer.decode(ids), len(ids)


@pytest.mark.parametrize(
    ("folder", "template", "origin"),
    [("tiny_llama", None, "model"), ("tiny_llama", TEMPLATE, "catalog"), ("tiny_base", None, "plain")],
)
def test_what_is_shown_is_what_is_fed(
    request: pytest.FixtureRequest, home: Path, folder: str, template: str | None, origin: Origin
) -> None:
    where = request.getfixturevalue(folder)
    shown = render_prompt(Settings(home=home), entry(f"file:{where}", chat_template=template), MESSAGES)
    assert shown == Rendered(*fed(where, template), origin)


def test_a_path_outside_models_dir_is_refused(home: Path, tiny_qwen: Path) -> None:
    settings = Settings(home=home, models_dir=home)
    with pytest.raises(ModelError, match="lies outside this worker's models_dir"):
        render_prompt(settings, entry(f"file:{tiny_qwen}"), MESSAGES)


def test_a_model_of_another_task_has_no_such_prompt(home: Path) -> None:
    with pytest.raises(InputError, match="own is a vision model; only the prompts of text models"):
        render_prompt(Settings(home=home), entry("hub:org/name", task="vision"), MESSAGES)


def test_a_child_that_dies_is_told_in_a_sentence(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.prompting.sys.executable", "/bin/false")
    with pytest.raises(ModelError, match=r"the tokenizer of own could not be asked \(exit code 1\)"):
        render_prompt(Settings(home=home), entry("hub:org/name"), MESSAGES)


# ---- inside the child


def test_a_gguf_file_is_read_itself_until_it_is_converted(tmp_path: Path, tiny_gguf: Path, tiny_llama: Path) -> None:
    from worker import convert, weights

    model, text = entry(f"gguf:{tiny_gguf}"), fed(tiny_llama)[0]
    assert resolve_tokenizer(model, home=tmp_path, models_dir=None) == tiny_gguf
    assert render.render(model, MESSAGES, tmp_path, None)["text"] == text
    folder = weights.converted_folder(tmp_path, weights.resolve(model, home=tmp_path, models_dir=None).revision)
    convert.ensure_converted(tiny_gguf, folder)
    assert resolve_tokenizer(model, home=tmp_path, models_dir=None) == folder
    assert render.render(model, MESSAGES, tmp_path, None)["text"] == text


def test_of_a_model_on_the_hub_only_the_tokenizer_is_fetched_with_a_word(
    tmp_path: Path, tiny_qwen: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, ...]] = []

    def fetch(repo: str, revision: str | None, *, on_progress: Any, patterns: tuple[str, ...]) -> tuple[Path, str]:
        asked.append(patterns)
        on_progress(0, 700)
        on_progress(700, 700)
        return tiny_qwen, "c" * 40

    monkeypatch.setattr(hub, "fetch", fetch)
    rendered = render.render(entry("hub:org/name"), MESSAGES, tmp_path, None)
    assert rendered["text"] == fed(tiny_qwen)[0]
    assert asked == [hub.TOKENIZER]
    assert capsys.readouterr().err == "Fetching what the tokenizer of own is in ...\n"


def test_nothing_is_hashed_to_show_a_prompt(tmp_path: Path, tiny_qwen: Path) -> None:
    assert resolve_tokenizer(entry(f"file:{tiny_qwen}", sha256="0" * 64), home=tmp_path, models_dir=None) == tiny_qwen
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (UnavailableError("the hub is away"), "unavailable", "the hub is away"),
        (ModelError("it is gated"), "model", "it is gated"),
        (ModuleNotFoundError(name="transformers"), "unavailable", "transformers is not installed: pip install"),
    ],
)
def test_a_failure_is_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: str, message: str
) -> None:
    def fail(*arguments: Any, **options: Any) -> Any:
        raise error

    monkeypatch.setattr(render, "resolve_tokenizer", fail)
    request = {"entry": entry("hub:org/name").model_dump(mode="json"), "messages": MESSAGES}
    answer = render.answered(request, tmp_path, None)
    assert answer["error"] == kind
    assert str(answer["message"]).startswith(message)


def test_a_folder_without_a_tokenizer_says_so(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"the tokenizer in .* can't be loaded: \S"):
        render.render(entry(f"file:{tmp_path}"), MESSAGES, tmp_path, None)
