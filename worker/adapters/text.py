"""Language models: Qwen2, Llama and whatever else transformers knows as a causal language model."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers

# PreTrainedModel brings in a second's worth of modules here, which the first load would be timed with otherwise.
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from bench.causes import first_line
from bench.errors import ModelError
from bench.spec import Attention, Precision
from worker.adapters.checkpoint import DTYPES, bytes_of, check_keys
from worker.adapters.compiling import compiled
from worker.conversation import Conversation, Message
from worker.device import Device, is_out_of_memory
from worker.quantise import compute_dtype, is_packed, packing, quantiser_of
from worker.sampling import Decoding, samplers
from worker.thinking import Thoughts, is_unanswered


class Generated(NamedTuple):
    """One answer."""

    text: str
    #: tokens of the prompt, without padding
    prompt_tokens: int
    #: tokens generated, the one that ends the answer among them
    new_tokens: int
    #: `stop`, `length`, or `thinking`: cut before its thoughts ended
    finish: str
    #: tokens of its thoughts, of `new_tokens`; None where it did not think
    thinking_tokens: int | None = None


class TextAdapter:
    """A loaded language model with its tokenizer."""

    def __init__(
        self, model: PreTrainedModel, tokenizer: Any, device: Device, *, chat_template: str | None = None
    ) -> None:
        #: the model itself, for a harness of its own
        self.model = model
        self.tokenizer = tokenizer
        #: the format in which it is asked
        self.conversation = Conversation(tokenizer, chat_template)
        self._thoughts = Thoughts(tokenizer)
        self._device = device
        self._stop_ids = _stop_ids(model, tokenizer)
        self._pad_id = _first(tokenizer.pad_token_id, *self._stop_ids, 0)
        #: settings of generation that the checkpoint suggests
        self.checkpoint_settings: Any = model.generation_config
        #: how attention is computed in fact
        self.attention = str(model.config._attn_implementation)
        # Else `generate` fills what our settings leave open from those.
        model.generation_config = GenerationConfig()
        #: bytes of parameters and buffers on the device, each tensor once
        self.weights_bytes = bytes_of(model)
        #: bytes of weights that one step of decoding reads
        self.bytes_per_step = self.weights_bytes - _unread_bytes(model)
        #: what packed the weights, with its version; None where they are not packed
        self.quantiser = quantiser_of(model)

    @classmethod
    def load(
        cls,
        path: Path,
        precision: Precision,
        attention: Attention,
        compile_: bool,
        device: Device,
        *,
        chat_template: str | None = None,
    ) -> "TextAdapter":
        """Return the model in the folder `path`, on the device and ready.

        `chat_template` (Jinja) takes the place of the one that the tokenizer brings.
        Raises ModelError where the folder holds no model that can be loaded so; what memory says passes through.
        """
        packed = packing(precision) if is_packed(precision) else None
        _check_type(path)
        try:
            tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
            model, report = AutoModelForCausalLM.from_pretrained(
                path,
                dtype=DTYPES[precision] if packed is None else compute_dtype(device.name),
                attn_implementation=attention,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                **({} if device.name == "cpu" else {"device_map": {"": device.torch_device}}),
                **({} if packed is None else {"quantization_config": packed}),
            )
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise ModelError(f"the model in {path} can't be loaded: {first_line(error)}") from error
        check_keys(path, report)
        model.eval()
        if compile_:
            model.forward = compiled(model.forward)
        return cls(model, tokenizer, device, chat_template=chat_template)

    @property
    def stepping(self) -> Any:
        """The module that is called once for each step of writing."""
        return self.model

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Return the token ids of a conversation, up to where the model's answer begins."""
        return self.conversation.ids(messages)

    def encode_text(self, text: str) -> list[int]:
        """Return the token ids of a text, without special tokens."""
        return self.conversation.text_ids(text)

    def first_ids(self) -> list[int]:
        """Return the special tokens that this model's tokenizer puts before a text: the BOS, or nothing."""
        return self.conversation.first_ids()

    def generate_batch(
        self, prompts: Sequence[Sequence[int]], decoding: Decoding, seeds: Sequence[int], cache: str = "dynamic"
    ) -> list[Generated]:
        """Return the answers to prompts of token ids, in their order; each ends at a stop token or is cut.

        `seeds` has one seed a prompt. A row's answer does not depend on the rows beside it, up to rounding.
        """
        longest = max(len(prompt) for prompt in prompts)
        ids = torch.tensor([[self._pad_id] * (longest - len(prompt)) + list(prompt) for prompt in prompts])
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        where = self._device.torch_device
        config = self._config(
            cache,
            max_new_tokens=decoding.max_new_tokens,
            repetition_penalty=float(decoding.repetition_penalty),
            eos_token_id=list(self._stop_ids) or None,
        )
        tokens = self.model.generate(
            ids.to(where),
            attention_mask=mask.to(where),
            generation_config=config,
            logits_processor=samplers(decoding, seeds, longest, where),
        )
        rows = tokens[:, longest:].tolist()
        return [self._generated(prompt, row) for prompt, row in zip(prompts, rows, strict=True)]

    def generate_fixed(
        self, prompts: torch.Tensor, new_tokens: int, streamer: Any = None, cache: str = "dynamic"
    ) -> torch.Tensor:
        """Generate exactly `new_tokens` greedily; takes ids (rows, length), returns (rows, length + new_tokens)."""
        tokens: torch.Tensor = self.model.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            generation_config=self._config(cache, max_new_tokens=new_tokens),
            streamer=streamer,
        )
        return tokens

    def _config(self, cache: str, **settings: Any) -> Any:
        """Return complete settings for `generate`: what is not named here is off."""
        return GenerationConfig(
            do_sample=False,
            num_beams=1,
            use_cache=True,
            pad_token_id=self._pad_id,
            cache_implementation="static" if cache == "static" else None,
            disable_compile=True,
            **settings,
        )

    def _generated(self, prompt: Sequence[int], row: list[int]) -> Generated:
        """Return one row's answer, up to its first stop token."""
        end = next((place for place, token in enumerate(row) if token in self._stop_ids), None)
        kept = row if end is None else row[: end + 1]
        text = self._thoughts.decode(kept)
        thinking_tokens = self._thoughts.tokens(prompt, kept, text)
        cut = "thinking" if is_unanswered(text, thinking_tokens) else "length"
        return Generated(text, len(prompt), len(kept), cut if end is None else "stop", thinking_tokens)


def _check_type(path: Path) -> None:
    """Raise ModelError where a folder's config.json names a type that is no language model.

    Of a config.json that can't be read transformers says what is wrong.
    """
    try:
        found = json.loads((path / "config.json").read_text(encoding="utf-8"))["model_type"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if found not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise ModelError(
            f"the model in {path} can't be loaded: its type {found!r} is no language model that transformers "
            f"{transformers.__version__} knows; if it looks at pictures or hears, its entry's task must say so"
        )


def _stop_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Return the tokens that end an answer: what the checkpoint's settings, its model and its tokenizer name."""
    found: list[int] = []
    for named in (model.generation_config.eos_token_id, model.config.eos_token_id, tokenizer.eos_token_id):
        found += named if isinstance(named, list) else [named] if named is not None else []
    return tuple(dict.fromkeys(found))


def _first(*values: int | None) -> int:
    return next(value for value in values if value is not None)


def _unread_bytes(model: Any) -> int:
    """Return the bytes of the input embedding where it is a table of its own: decoding reads one row of it."""
    table, head = model.get_input_embeddings(), model.get_output_embeddings()
    if table is None or head is None or table.weight is head.weight:
        return 0
    return int(table.weight.numel() * table.weight.element_size())
