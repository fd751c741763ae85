"""Tiny models of the true architectures, built from config: nothing is downloaded, and each fits into 2 MB.

Their weights are random, so what they write means nothing, but they load, generate and stop as large ones do.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from bench.catalog import ModelEntry, Task
from bench.spec import Precision

Family = Literal["qwen2", "r1", "llama"]

#: hidden layers, heads and the rest of both families
_SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    # Tied weights at the usual 0.02 repeat one token for ever.
    "initializer_range": 0.2,
}
_VOCABULARY = 600

_SPECIALS: dict[Family, tuple[str, ...]] = {
    "qwen2": ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    "r1": ("<｜end▁of▁sentence｜>", "<｜begin▁of▁sentence｜>"),
    "llama": ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
}
#: tokens of which R1's tokenizer says that they are not special
_R1_MARKS = ("<｜User｜>", "<｜Assistant｜>", "<think>", "</think>")

QWEN_TEMPLATE = (
    "{%- if messages[0].role != 'system' %}{{ '<|im_start|>system\nYou are helpful.<|im_end|>\n' }}{% endif %}"
    "{%- for message in messages %}{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
#: writes the BOS and the day's date, as Llama 3.2's does
LLAMA_TEMPLATE = (
    "{{- bos_token }}{%- if not date_string is defined %}{%- set date_string = strftime_now('%d %b %Y') %}{% endif %}"
    "{{ '<|start_header_id|>system<|end_header_id|>\n\nToday Date: ' + date_string + '<|eot_id|>' }}"
    "{%- for message in messages %}{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' }}"
    "{{- message.content + '<|eot_id|>' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
R1_TEMPLATE = (
    "{{- bos_token }}{%- for message in messages %}{{ '<｜' + message.role.title() + '｜>' + message.content }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{ '<｜Assistant｜><think>\n' }}{% endif %}"
)
TEMPLATES: dict[Family, str] = {"qwen2": QWEN_TEMPLATE, "r1": R1_TEMPLATE, "llama": LLAMA_TEMPLATE}
_NAMES: dict[Family, dict[str, str]] = {
    "qwen2": {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
    "r1": {
        "bos_token": "<｜begin▁of▁sentence｜>",
        "eos_token": "<｜end▁of▁sentence｜>",
        "pad_token": "<｜end▁of▁sentence｜>",
    },
    # Llama has no pad token.
    "llama": {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"},
}


def build(folder: Path, family: Family = "qwen2", *, chat_template: bool = True, seed: int = 0) -> Path:
    """Write a checkpoint with its tokenizer into `folder`, and return it."""
    tokenizer(family, chat_template=chat_template).save_pretrained(folder)
    if family == "r1":
        # What the hub's file says, though the tokenizer is Qwen's and not Llama's.
        file = folder / "tokenizer_config.json"
        fields = json.loads(file.read_text(encoding="utf-8"))
        fields |= {"tokenizer_class": "LlamaTokenizerFast", "add_bos_token": True, "add_eos_token": False}
        file.write_text(json.dumps(fields), encoding="utf-8")
    model(family, seed=seed).save_pretrained(folder)
    return folder


def tokenizer(family: Family, *, chat_template: bool = True) -> Any:
    """Return a byte-level BPE tokenizer; Llama's and R1's put a BOS before a text, Qwen2's does not."""
    from tokenizers import AddedToken, Tokenizer
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer.from_str(_trained(family))
    made = PreTrainedTokenizerFast(tokenizer_object=backend, **_NAMES[family])
    if family == "r1":
        made.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in _R1_MARKS])
    if chat_template:
        made.chat_template = TEMPLATES[family]
    return made


@cache
def _trained(family: Family) -> str:
    """Return a tokenizer trained on Python's own documentation, as JSON."""
    from pydoc_data.topics import topics

    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    specials = _SPECIALS[family]
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if family == "r1":
        split = pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), "isolated")
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        backend.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=list(specials),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([topics[name] for name in sorted(topics)[:20]], trainer)
    if first := _NAMES[family].get("bos_token"):
        backend.post_processor = processors.TemplateProcessing(
            single=f"{first} $A", special_tokens=[(first, backend.token_to_id(first))]
        )
    return str(backend.to_str())


def model(family: Family, *, seed: int = 0) -> Any:
    """Return a model with random weights: Qwen2 with tied embeddings, R1's (a Qwen2) and Llama with a head."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    words = tokenizer(family)
    fields = {**_SIZES, "vocab_size": len(words), "eos_token_id": words.eos_token_id}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if family == "qwen2":
            return Qwen2ForCausalLM(Qwen2Config(**fields, tie_word_embeddings=True)).eval()
        fields |= {"bos_token_id": words.bos_token_id, "tie_word_embeddings": False}
        if family == "r1":
            return Qwen2ForCausalLM(Qwen2Config(**fields)).eval()
        return LlamaForCausalLM(LlamaConfig(**fields, rms_norm_eps=1e-5)).eval()


def write_gguf(file: Path, *, seed: int = 0) -> Path:
    """Write the tiny Llama as a GGUF file, as llama.cpp's converter does, and return its path."""
    import gguf

    source, words = model("llama", seed=seed), tokenizer("llama")
    config = source.config
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    _write_words(writer, words)
    for name, tensor in source.state_dict().items():
        writer.add_tensor(_gguf_name(name), _gguf_values(name, tensor, config))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _write_words(writer: Any, words: Any) -> None:
    import gguf

    ids = sorted(words.get_vocab().items(), key=lambda entry: entry[1])
    special = set(words.all_special_ids) | {words.convert_tokens_to_ids(name) for name in _SPECIALS["llama"]}
    kinds = [gguf.TokenType.CONTROL if number in special else gguf.TokenType.NORMAL for _, number in ids]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list([token for token, _ in ids])
    writer.add_token_types(kinds)
    writer.add_token_merges(_merges())
    writer.add_bos_token_id(words.bos_token_id)
    writer.add_eos_token_id(words.eos_token_id)
    writer.add_chat_template(LLAMA_TEMPLATE)


def _merges() -> list[str]:
    import json

    return [" ".join(pair) for pair in json.loads(_trained("llama"))["model"]["merges"]]


def _gguf_name(name: str) -> str:
    """Return llama.cpp's name of a tensor."""
    parts = {
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "lm_head": "output",
        "model.layers.": "blk.",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "post_attention_layernorm": "ffn_norm",
        "input_layernorm": "attn_norm",
    }
    for ours, theirs in parts.items():
        name = name.replace(ours, theirs)
    return name


def _gguf_values(name: str, tensor: Any, config: Any) -> Any:
    """Return a tensor's values; llama.cpp keeps the rows of q and k in another order for its rotary embedding."""
    if "q_proj" in name or "k_proj" in name:
        heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
        rows, columns = tensor.shape
        tensor = tensor.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
    return tensor.contiguous().numpy()


def entry_of(task: Task, source: str = "file:m", **fields: Any) -> ModelEntry:
    """Return a model's entry of the catalog in every precision."""
    memory = dict.fromkeys(get_args(Precision), 1.0)
    return ModelEntry(name="m", task=task, source=source, precision="float32", memory_gib=memory, **fields)
