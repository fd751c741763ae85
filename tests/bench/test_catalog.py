"""The catalog of models: its entries, sources, and what is said about a wrong one."""

from typing import Any

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.catalog import ModelEntry, Source, builtin_models, explain, fault, own_model, parse_source
from bench.errors import InputError

ENTRY = {"task": "text", "source": "hub:org/name", "memory_gib": {"float16": 2.0, "float32": 4.0}}


def complaint(fields: Any) -> str:
    """Return what is said about an entry."""
    with pytest.raises(InputError) as caught:
        own_model("m", fields, lambda key: f"x.toml:1: {key}")
    return str(caught.value)


def test_the_built_in_catalog_holds_the_eight_models() -> None:
    assert set(builtin_models()) == {
        "smollm2-135m",
        "qwen2.5-1.5b",
        "deepseek-r1-distill-qwen-1.5b",
        "llama-3.2-3b",
        "blip-base",
        "blip2-2.7b",
        "deepseek-vl2-small",
        "whisper-base",
    }


@pytest.mark.parametrize("name", sorted(builtin_models()))
def test_a_built_in_model_says_what_a_worker_needs(name: str) -> None:
    model = builtin_models()[name]
    parse_source(model.source)
    assert model.precision in model.memory_gib
    assert model.description
    assert model.license
    assert (model.parameters or 0) > 1_000_000


def test_the_default_model_needs_no_token_and_is_checked_by_its_hash() -> None:
    default = builtin_models()["smollm2-135m"]
    assert not default.gated
    assert len(default.sha256 or "") == 64


def test_only_the_llama_is_gated() -> None:
    assert [name for name, model in builtin_models().items() if model.gated] == ["llama-3.2-3b"]


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("hub:org/name", Source("hub", "org/name")),
        ("hub:org/na.me-1@refs/pr/3", Source("hub", "org/na.me-1", "refs/pr/3")),
        ("file:weights/base.pt", Source("file", "weights/base.pt")),
        ("file:/a folder/w", Source("file", "/a folder/w")),
        ("gguf:~/m.gguf", Source("gguf", "~/m.gguf")),
        ("wheel:pack-age==0.1.2#in/side.gguf", Source("wheel", "pack-age", "0.1.2", "in/side.gguf")),
        ("whisper:base.en", Source("whisper", "base.en")),
    ],
)
def test_a_source_is_read(text: str, source: Source) -> None:
    assert parse_source(text) == source


@pytest.mark.parametrize(
    "text",
    [
        "",
        "org/name",
        "hub:name",
        "hub:org/name@",
        "file:",
        "wheel:a#b",
        "wheel:a==1",
        "s3:x",
        "hub:org/name\n",
        "HUB:o/n",
    ],
)
def test_another_source_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no source; allowed are hub:ORG/NAME\[@REVISION\], file:PATH, gguf:PATH"):
        parse_source(text)


def test_memory_is_rounded_up_to_whole_mib() -> None:
    assert ModelEntry.model_validate({"name": "m", **ENTRY}).memory_mib("float16") == 2048
    odd = ModelEntry.model_validate({"name": "m", **ENTRY, "memory_gib": {"float32": 0.0001}})
    assert odd.memory_mib("float32") == 1
    with pytest.raises(KeyError):
        odd.memory_mib("int4")


def test_the_first_precision_is_the_default() -> None:
    assert own_model("m", ENTRY, str).precision == "float16"
    assert own_model("m", {**ENTRY, "precision": "float32"}, str).precision == "float32"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("no table", "source: must be a table of fields"),
        ({**ENTRY, "name": "other"}, "name: unknown key; the name stands in the table's header"),
        ({**ENTRY, "memory": 3}, "memory: unknown key; did you mean 'memory_gib'?"),
        ({"task": "text", "source": "hub:a/b"}, "memory_gib: is missing"),
        ({"task": "text", "memory_gib": {"float32": 1}}, "source: is missing"),
        ({**ENTRY, "task": "txt"}, "task: must be 'text', 'vision' or 'speech' (it is 'txt')"),
        ({**ENTRY, "task": 3}, "task: must be 'text', 'vision' or 'speech' (it is 3)"),
        ({**ENTRY, "memory_gib": 3}, "memory_gib: must be a table such as { key = value } (it is 3)"),
        ({**ENTRY, "memory_gib": {}}, "memory_gib: is empty"),
        ({**ENTRY, "memory_gib": {"float32": "much"}}, "memory_gib: float32: must be a number (it is 'much')"),
        ({**ENTRY, "memory_gib": {"float32": 0}}, "memory_gib: float32 = 0.0 is no amount of memory in GiB"),
        (
            {**ENTRY, "memory_gib": {"fp16": 1}},
            "memory_gib: fp16: must be 'float32', 'float16', 'bfloat16', 'int8' or 'int4' (it is 'fp16')",
        ),
        ({**ENTRY, "precision": "int4"}, "source: memory_gib has no int4, which is the model's precision"),
        ({**ENTRY, "sha256": "ABC"}, "sha256: must be 64 hexadecimal digits in lower case (it is 'ABC')"),
        ({**ENTRY, "gated": "perhaps"}, "gated: must be true or false (it is 'perhaps')"),
        ({**ENTRY, "parameters": -5}, "parameters: must be more than 0 (it is -5)"),
    ],
)
def test_a_wrong_entry_is_told_by_its_field(fields: Any, said: str) -> None:
    assert complaint(fields) == f"x.toml:1: {said}"


class Example(BaseModel):
    """Something to validate."""

    model_config = ConfigDict(extra="forbid")

    size: int = Field(ge=1)
    secret: str = Field(max_length=3)


def failed(values: dict[str, Any]) -> ValidationError:
    """Return how a validation fails."""
    with pytest.raises(ValidationError) as caught:
        Example.model_validate(values)
    return caught.value


def test_a_misspelt_key_is_said_rather_than_that_the_right_one_is_missing() -> None:
    assert explain(failed({"siez": 3, "secret": "x"}), Example) == "siez: unknown key; did you mean 'size'?"


def test_a_value_may_be_kept_out_of_the_sentence() -> None:
    error = failed({"size": 1, "secret": "hunter2"})
    assert fault(error, Example) == ("secret", "must have at most 3 characters (it is 'hunter2')")
    assert fault(error, Example, show_value=False) == ("secret", "must have at most 3 characters")


R1 = builtin_models()["deepseek-r1-distill-qwen-1.5b"]


def rendered(messages: list[dict[str, str]], *, add_generation_prompt: bool) -> str:
    """Return a conversation in the catalog's format for R1, as transformers writes it."""
    template = R1.chat_template
    assert template is not None
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    values = {"bos_token": "<BOS>", "eos_token": "<EOS>", "add_generation_prompt": add_generation_prompt}
    return environment.from_string(template).render(messages=messages, **values)


def test_the_template_of_r1_begins_as_the_reference_report_says_and_opens_a_thought() -> None:
    said = rendered([{"role": "user", "content": "What is 2 + 2?"}], add_generation_prompt=True)
    assert said == "<BOS>User: What is 2 + 2?\n\nAssistant: <think>\n"


def test_the_template_of_r1_puts_system_text_into_the_first_question_and_drops_earlier_thoughts() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "1 + 1? {{ 7 }}"},
        {"role": "assistant", "content": "<think>\nHm.\n</think>\n\n2"},
        {"role": "user", "content": "2 + 2?"},
    ]
    conversation = "<BOS>User: Be brief.\n\n1 + 1? {{ 7 }}\n\nAssistant: 2<EOS>User: 2 + 2?\n\n"
    assert rendered(messages, add_generation_prompt=False) == conversation
    assert rendered(messages, add_generation_prompt=True) == conversation + "Assistant: <think>\n"


def test_only_r1_thinks_and_has_a_template_of_ours() -> None:
    assert [name for name, model in builtin_models().items() if model.chat_template] == [R1.name]
    assert [name for name, model in builtin_models().items() if model.thinking_tokens] == [R1.name]
    assert R1.thinking_tokens == 2048


def test_every_text_model_has_recommended_settings() -> None:
    for model in builtin_models().values():
        assert list(model.settings) == (["recommended"] if model.task == "text" else [])


def test_a_preset_gives_what_it_says_and_what_differs_by_strategy() -> None:
    preset = R1.settings["recommended"]
    assert preset.for_strategy(None) == {"temperature": 0.8, "top_p": 0.95}
    assert preset.for_strategy("chain_of_thought") == {"temperature": 0.5, "top_p": 0.95}


def test_a_long_wrong_value_is_shown_by_its_beginning() -> None:
    said = explain(failed({"size": 1, "secret": "x" * 500}), Example)
    assert said == f"secret: must have at most 3 characters (it is '{'x' * 99}...)"
