import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from bench.catalog import builtin_models
from bench.errors import ModelError
from bench.spec import Attention, Precision
from tests.worker import tiny
from tests.worker.tiny import entry_of
from worker.adapters import Loading, load
from worker.adapters.text import Generated, TextAdapter
from worker.conversation import Conversation, plain_prompt
from worker.device import CpuDevice
from worker.sampling import Decoding, generation_seed

HELLO = [{"role": "user", "content": "Hello, what is a function?"}]
TEXTS = ["import", "What is a class, and what is it for?", "A much longer question: " + "why is it so, " * 12]


def adapter(folder: Path, precision: Precision = "float32", attention: Attention = "sdpa") -> TextAdapter:
    return TextAdapter.load(folder, precision, attention, False, CpuDevice())


@pytest.fixture(scope="module")
def qwen(tiny_qwen: Path) -> TextAdapter:
    return adapter(tiny_qwen)


@pytest.fixture(scope="module")
def llama(tiny_llama: Path) -> TextAdapter:
    return adapter(tiny_llama)


@pytest.fixture(params=["qwen", "llama"])
def either(request: pytest.FixtureRequest) -> TextAdapter:
    """Give a tiny Qwen2, then a tiny Llama."""
    made: TextAdapter = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def copy(tiny_llama: Path, tmp_path: Path) -> Path:
    """Give a copy of the tiny Llama, to be changed."""
    return Path(shutil.copytree(tiny_llama, tmp_path / "copy"))


def _change(file: Path, **fields: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def _ask(model: TextAdapter, texts: list[str]) -> list[list[int]]:
    return [model.encode([{"role": "user", "content": text}]) for text in texts]


# ---- prompts


def test_a_template_s_own_first_token_is_not_doubled(llama: TextAdapter) -> None:
    ids = llama.encode(HELLO)
    assert llama.first_ids() == [0]
    assert ids.count(0) == 1
    assert ids[0] == 0


def test_r1_s_tokenizer_is_what_its_file_says_though_its_config_names_llama_s(tmp_path: Path) -> None:
    made = adapter(tiny.build(tmp_path / "r1", "r1"))
    written = Tokenizer.from_file(str(tmp_path / "r1" / "tokenizer.json"))
    for text in (*TEXTS, "don't 1234\n\n  x = f(y)", "naïve 你好", "Why? <think>\nwell\n</think> So."):
        assert made.encode_text(text) == written.encode(text, add_special_tokens=False).ids
        assert made.tokenizer.decode(made.encode_text(text)) == text
    first = int(written.token_to_id("<｜begin▁of▁sentence｜>") or 0)
    assert made.first_ids() == [first]
    ours = Conversation(made.tokenizer, builtin_models()["deepseek-r1-distill-qwen-1.5b"].chat_template)
    for ids in (made.encode(HELLO), ours.ids(HELLO)):
        assert (ids[0], ids.count(first)) == (first, 1)
        assert made.tokenizer.decode(ids).endswith("<think>\n")
    # One token each, and none that decoding would skip.
    assert [len(made.encode_text(mark)) for mark in ("<think>", "</think>")] == [1, 1]


def test_a_prompt_ends_where_the_answer_begins(qwen: TextAdapter) -> None:
    text = qwen.tokenizer.decode(qwen.encode(HELLO))
    assert text.endswith("Hello, what is a function?<|im_end|>\n<|im_start|>assistant\n")
    assert qwen.first_ids() == []


def test_the_day_s_date_does_not_change_the_question(llama: TextAdapter) -> None:
    assert "Today Date: 26 Jul 2024" in llama.tokenizer.decode(llama.encode(HELLO))


def test_a_model_without_a_template_is_asked_in_plain_text(tiny_base: Path) -> None:
    base = adapter(tiny_base)
    assert base.conversation.origin == "plain"
    ids = base.encode([{"role": "system", "content": "Be brief."}, *HELLO])
    assert ids[0] == 0
    assert base.tokenizer.decode(ids[1:]) == "Be brief.\n\nUser: Hello, what is a function?\n\nAssistant:"


def test_the_plain_format_holds_examples_in_turns() -> None:
    messages = [
        {"role": "user", "content": "1+1?"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "2+2?"},
    ]
    assert plain_prompt(messages) == "User: 1+1?\n\nAssistant: 2\n\nUser: 2+2?\n\nAssistant:"


# ---- answers


@pytest.mark.parametrize(
    "decoding",
    [
        Decoding(max_new_tokens=24),
        Decoding(max_new_tokens=24, repetition_penalty=1.3),
        Decoding(max_new_tokens=24, temperature=0.8),
        Decoding(max_new_tokens=24, temperature=1.0, top_p=0.9, top_k=20, repetition_penalty=1.1),
    ],
    ids=["greedy", "penalised", "sampled", "everything"],
)
def test_an_answer_does_not_depend_on_its_batch(either: TextAdapter, decoding: Decoding) -> None:
    prompts = _ask(either, TEXTS)
    seeds = [generation_seed(3, text, 0) for text in TEXTS]
    alone = [either.generate_batch([ids], decoding, [seed])[0] for ids, seed in zip(prompts, seeds, strict=True)]
    assert either.generate_batch(prompts, decoding, seeds) == alone
    assert either.generate_batch(prompts[::-1], decoding, seeds[::-1]) == alone[::-1]
    assert [one.prompt_tokens for one in alone] == [len(ids) for ids in prompts]


def test_another_seed_gives_another_answer_and_the_same_one_the_same(either: TextAdapter) -> None:
    ids = _ask(either, TEXTS[:1])[0]
    decoding = Decoding(temperature=1.0, max_new_tokens=16)
    answers = either.generate_batch([ids] * 3, decoding, [1, 2, 1])
    assert answers[0] == answers[2] != answers[1]


def test_eager_and_sdpa_and_either_cache_give_the_same_answer(tiny_qwen: Path, qwen: TextAdapter) -> None:
    prompts = _ask(qwen, TEXTS)
    decoding, seeds = Decoding(max_new_tokens=16), [0, 0, 0]
    expected = qwen.generate_batch(prompts, decoding, seeds)
    assert adapter(tiny_qwen, attention="eager").generate_batch(prompts, decoding, seeds) == expected
    assert qwen.generate_batch(prompts, decoding, seeds, cache="static") == expected


def _first_token(model: TextAdapter, prompt: list[int]) -> int:
    tokens = model.generate_fixed(torch.tensor([prompt]), 1)
    return int(tokens[0, -1])


def test_an_answer_ends_at_any_stop_token_of_the_checkpoint(copy: Path, llama: TextAdapter) -> None:
    prompt = _ask(llama, TEXTS[:1])[0]
    before = llama.generate_batch([prompt], Decoding(max_new_tokens=10), [0])[0]
    assert (before.finish, before.new_tokens) == ("length", 10)
    _change(copy / "generation_config.json", eos_token_id=[3, _first_token(llama, prompt)])
    after = adapter(copy).generate_batch([prompt], Decoding(max_new_tokens=10), [0])[0]
    assert (after.finish, after.new_tokens) == ("stop", 1)


def test_a_row_that_ended_waits_for_the_others_without_growing(copy: Path, llama: TextAdapter) -> None:
    prompts = _ask(llama, TEXTS[:2])
    _change(copy / "generation_config.json", eos_token_id=[3, _first_token(llama, prompts[0])])
    model = adapter(copy)
    answers = model.generate_batch(prompts, Decoding(max_new_tokens=6), [0, 0])
    assert answers[0].new_tokens == 1
    assert answers == [model.generate_batch([ids], Decoding(max_new_tokens=6), [0])[0] for ids in prompts]


def test_nothing_that_a_checkpoint_suggests_leaks_into_the_settings(copy: Path, llama: TextAdapter) -> None:
    _change(
        copy / "generation_config.json",
        do_sample=True,
        temperature=0.1,
        top_k=1,
        top_p=0.1,
        repetition_penalty=5.0,
        no_repeat_ngram_size=1,
        suppress_tokens=list(range(4, 500)),
        max_length=3,
        min_new_tokens=500,
    )
    suggesting = adapter(copy)
    prompts = _ask(llama, TEXTS)
    for decoding in (Decoding(max_new_tokens=12), Decoding(max_new_tokens=12, temperature=0.9)):
        assert suggesting.generate_batch(prompts, decoding, [1, 2, 3]) == llama.generate_batch(
            prompts, decoding, [1, 2, 3]
        )
    fixed = torch.tensor(prompts[:1])
    assert torch.equal(suggesting.generate_fixed(fixed, 9), llama.generate_fixed(fixed, 9))


def test_a_fixed_length_is_kept_whatever_the_model_says(copy: Path, llama: TextAdapter) -> None:
    prompt = torch.tensor(_ask(llama, TEXTS[:1]) * 2)
    _change(copy / "generation_config.json", eos_token_id=[3, _first_token(llama, prompt[0].tolist())])
    tokens = adapter(copy).generate_fixed(prompt, 17)
    assert tokens.shape == (2, prompt.shape[1] + 17)


def test_answers_in_batches_of_sixteen_are_those_one_by_one(qwen: TextAdapter) -> None:
    prompts = _ask(qwen, [f"{text} ({n})" for n in range(8) for text in TEXTS])
    assert len(prompts) == 24
    decoding = Decoding(max_new_tokens=24)
    assert _in_batches(qwen, prompts, 16, decoding) == _in_batches(qwen, prompts, 1, decoding)


def _in_batches(model: TextAdapter, prompts: list[list[int]], size: int, decoding: Decoding) -> list[Generated]:
    answers: list[Generated] = []
    for start in range(0, len(prompts), size):
        batch = prompts[start : start + size]
        answers += model.generate_batch(batch, decoding, [0] * len(batch))
    return answers


def test_thoughts_are_counted_and_kept_in_the_text(qwen: TextAdapter) -> None:
    asked, opened = qwen.encode_text("Why? "), qwen.encode_text("Why? <think>\n")
    stop = qwen._stop_ids[0]
    over = qwen.encode_text("so it is</think>")
    row = [*over, *qwen.encode_text(" Two.")]
    said = "so it is</think> Two."
    assert qwen._generated(opened, row) == Generated(said, len(opened), len(row), "length", len(over))
    assert qwen._generated(opened, [*row, stop]).finish == "stop"
    assert qwen._generated(asked, row).thinking_tokens is None
    lost = qwen.encode_text("and so on, and so on")
    assert qwen._generated(opened, lost) == Generated(
        "and so on, and so on", len(opened), len(lost), "thinking", len(lost)
    )
    assert qwen._generated(opened, [*lost, stop]).finish == "stop"


def test_a_catalog_s_template_is_what_is_asked_with(tiny_qwen: Path) -> None:
    entry = entry_of("text", chat_template="Q: {{ messages[0].content }} A:")
    model: Any = load(entry, tiny_qwen, Loading("float32", "sdpa", False), CpuDevice())
    assert model.tokenizer.decode(model.encode(HELLO)) == "Q: Hello, what is a function? A:"
    assert model.conversation.origin == "catalog"


def test_special_tokens_are_no_part_of_the_text(either: TextAdapter) -> None:
    stop = either._stop_ids[0]
    word = either.encode_text("import")
    assert either._generated([1, 2, 3], [*word, stop, stop]) == Generated("import", 3, len(word) + 1, "stop")


# ---- weights


@pytest.mark.parametrize(("precision", "size"), [("float32", 4), ("float16", 2), ("bfloat16", 2)])
def test_weights_are_counted_once_in_their_precision(
    tiny_qwen: Path, tiny_llama: Path, precision: Precision, size: int
) -> None:
    tied, untied = adapter(tiny_qwen, precision), adapter(tiny_llama, precision)
    stored = {folder: load_file(folder / "model.safetensors") for folder in (tiny_qwen, tiny_llama)}
    numbers = {folder: sum(tensor.numel() for tensor in tensors.values()) for folder, tensors in stored.items()}
    # The rotary embedding's frequencies: 8 numbers in float32, kept twice.
    assert tied.weights_bytes == numbers[tiny_qwen] * size + 2 * 8 * 4
    assert untied.weights_bytes == numbers[tiny_llama] * size + 2 * 8 * 4
    assert tied.bytes_per_step == tied.weights_bytes
    table = stored[tiny_llama]["model.embed_tokens.weight"].numel() * size
    assert untied.bytes_per_step == untied.weights_bytes - table


def test_half_precisions_generate(tiny_qwen: Path) -> None:
    halves: tuple[Precision, ...] = ("float16", "bfloat16")
    for precision in halves:
        model = adapter(tiny_qwen, precision)
        answer = model.generate_batch(_ask(model, TEXTS[:1]), Decoding(max_new_tokens=5), [0])[0]
        assert answer.new_tokens == 5


def test_compiling_wraps_the_forward_pass(tiny_qwen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []

    def compile_(function: Any) -> Any:
        compiled.append(function)
        return function

    monkeypatch.setattr(torch, "compile", compile_)
    model = TextAdapter.load(tiny_qwen, "float32", "sdpa", True, CpuDevice())
    assert len(compiled) == 1
    assert model.generate_batch([[1, 2]], Decoding(max_new_tokens=3), [0])[0].new_tokens == 3


def test_the_weights_of_another_task_are_refused(tiny_qwen: Path) -> None:
    loading = Loading("float32", "sdpa", False)
    with pytest.raises(ModelError, match="is of type 'qwen2'; vision models here are blip, blip-2"):
        load(entry_of("vision"), tiny_qwen, loading, CpuDevice())
    with pytest.raises(ModelError, match=r"there is no processor_config\.json"):
        load(entry_of("vision", architecture="deepseek-vl2"), tiny_qwen, loading, CpuDevice())
    with pytest.raises(ModelError, match=r"checkpoint|can't be loaded"):
        load(entry_of("speech"), tiny_qwen, loading, CpuDevice())


@pytest.mark.parametrize("model_type", ["blip", "deepseek_vl_v2"])
def test_what_is_no_language_model_is_named(copy: Path, model_type: str) -> None:
    _change(copy / "config.json", model_type=model_type)
    with pytest.raises(ModelError, match=f"can't be loaded: its type {model_type!r} is no language model .* task"):
        adapter(copy)


def test_tensors_that_no_part_takes_are_refused(copy: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    tensors["model.layers.9.mlp.up_proj.weight"] = torch.zeros(2)
    save_file(tensors, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"not this architecture's: 1 have no place \(model\.layers\.9\."):
        adapter(copy)


def test_missing_tensors_are_not_filled_with_random_numbers(copy: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"incomplete: 1 are missing \(model\.layers\.1\.mlp\.up_proj\.weight"):
        adapter(copy)


def test_pickled_weights_are_never_opened(copy: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    torch.save(tensors, copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"can't be loaded: \S"):
        adapter(copy)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", "{}"),
        ("config.json", '{"model_type": "unheard-of"}'),
        ("config.json", "no json"),
        ("model.safetensors", "no tensors"),
        ("tokenizer.json", "no words"),
    ],
)
def test_a_damaged_checkpoint_has_one_sentence(copy: Path, file: str, content: str) -> None:
    (copy / file).write_text(content)
    with pytest.raises(ModelError, match=r"can't be loaded: \S") as caught:
        adapter(copy)
    assert "\n" not in str(caught.value)


# ---- the real model


@pytest.fixture(scope="module")
def real(smollm: Path) -> TextAdapter:
    return adapter(smollm)


@pytest.mark.model
def test_the_real_model_knows_the_capital_of_france(real: TextAdapter) -> None:
    ids = real.encode([{"role": "user", "content": "What is the capital of France?"}])
    answer = real.generate_batch([ids], Decoding(max_new_tokens=24), [0])[0]
    assert answer == Generated("The capital of France is Paris.", 37, 8, "stop")


@pytest.mark.model
def test_the_real_model_answers_24_questions_alike_in_batches_of_sixteen_and_one_by_one(real: TextAdapter) -> None:
    from bench.workloads import builtin_workloads

    prompts = _ask(real, [item.prompt for item in builtin_workloads()["facts"].sample(24, 0)])
    decoding = Decoding(max_new_tokens=16)
    assert _in_batches(real, prompts, 16, decoding) == _in_batches(real, prompts, 1, decoding)


@pytest.mark.model
def test_the_real_model_answers_alike_in_a_batch_and_alone(real: TextAdapter) -> None:
    texts = ["What is the capital of France?", "Hi!", "Name three colours, and say for each what has it in nature."]
    prompts = _ask(real, texts)
    decoding = Decoding(max_new_tokens=16)
    alone = [real.generate_batch([ids], decoding, [0])[0] for ids in prompts]
    assert real.generate_batch(prompts, decoding, [0, 0, 0]) == alone
    assert real.weights_bytes == 538_060_288
