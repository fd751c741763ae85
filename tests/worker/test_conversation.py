from pathlib import Path
from typing import Any

import pytest

from bench.catalog import builtin_models
from bench.errors import ModelError
from tests.worker import tiny
from worker.conversation import Conversation, plain_prompt
from worker.thinking import Thoughts

HELLO = [{"role": "user", "content": "Hello, what is a function?"}]
SHOWN = [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}, *HELLO]
#: begins and ends as DeepSeek-R1's does
OURS = "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{{ 'assistant: <think>\n' }}"


def loaded(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


@pytest.mark.parametrize("messages", [HELLO, SHOWN], ids=["one", "turns"])
@pytest.mark.parametrize("folder", ["tiny_qwen", "tiny_llama", "tiny_base"])
@pytest.mark.parametrize("template", [None, OURS], ids=["theirs", "ours"])
def test_the_text_is_what_its_tokens_say(
    request: pytest.FixtureRequest, folder: str, template: str | None, messages: list[dict[str, str]]
) -> None:
    tokenizer = loaded(request.getfixturevalue(folder))
    conversation = Conversation(tokenizer, template if tokenizer.bos_token else template and template[15:])
    assert tokenizer.decode(conversation.ids(messages)) == conversation.text(messages)


def test_the_tokens_are_those_of_the_library_s_own_way(tiny_llama: Path) -> None:
    tokenizer = loaded(tiny_llama)
    expected = tokenizer.apply_chat_template(
        SHOWN, add_generation_prompt=True, return_dict=True, date_string="26 Jul 2024"
    )
    assert Conversation(tokenizer).ids(SHOWN) == list(expected["input_ids"])


def test_the_catalog_s_template_goes_before_the_model_s_own(tiny_llama: Path) -> None:
    theirs, ours = Conversation(loaded(tiny_llama)), Conversation(loaded(tiny_llama), OURS)
    assert (theirs.origin, ours.origin) == ("model", "catalog")
    assert ours.text(HELLO) == "<|begin_of_text|>user: Hello, what is a function?\nassistant: <think>\n"
    assert ours.ids(HELLO).count(0) == 1


def test_without_a_template_the_text_begins_as_the_tokenizer_begins_it(tiny_base: Path) -> None:
    conversation = Conversation(loaded(tiny_base))
    assert conversation.origin == "plain"
    assert conversation.text(HELLO) == f"<|begin_of_text|>{plain_prompt(HELLO)}"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ raise_exception('there is no system role') }}", "there is no system role"),
        ("{% for %}", "Expected an expression|expected token"),
    ],
)
def test_a_template_that_refuses_is_one_sentence(template: str, said: str) -> None:
    conversation = Conversation(tiny.tokenizer("qwen2"), template)
    with pytest.raises(ModelError, match=f"the catalog's chat template can't write .*({said})"):
        conversation.ids(HELLO)


def test_the_catalog_s_own_templates_open_a_thought_for_models_that_think() -> None:
    entry = builtin_models()["deepseek-r1-distill-qwen-1.5b"]
    conversation = Conversation(tiny.tokenizer("llama"), entry.chat_template)
    text = conversation.text([{"role": "system", "content": "Be brief."}, *SHOWN])
    assert text.startswith("<|begin_of_text|>User: Be brief.\n\n1+1?\n\nAssistant: 2")
    assert text.endswith("User: Hello, what is a function?\n\nAssistant: <think>\n")
    assert Thoughts(tiny.tokenizer("llama")).opened_by(conversation.ids(SHOWN))
