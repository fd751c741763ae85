"""Tiny BLIP and BLIP-2 checkpoints of the true architectures, with tokenizer and image processor.

Nothing is downloaded. Their weights are random, so what they write means nothing, but they load, generate and stop as
large ones do.
"""

from functools import cache
from pathlib import Path
from typing import Any, Literal

VisionFamily = Literal["blip", "blip2"]

#: pixels of a side of the square that the models see
SIDE = 32
#: tokens that stand for a picture in BLIP-2
QUERIES = 8

_SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
#: random weights at the usual 0.02 (1e-10 in the vision tower) would see nothing and repeat one token for ever
_SPREAD = 0.2


def build_vision(folder: Path, family: VisionFamily = "blip2", *, seed: int = 0) -> Path:
    """Write a checkpoint with its tokenizer and image processor into `folder`, and return it."""
    from transformers import BlipImageProcessorPil

    words = blip_words() if family == "blip" else opt_words()
    words.save_pretrained(folder)
    BlipImageProcessorPil(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    vision_model(family, seed=seed).save_pretrained(folder)
    return folder


def vision_model(family: VisionFamily, *, seed: int = 0) -> Any:
    """Return a model with random weights."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = _blip() if family == "blip" else _blip2()
        for name, parameter in made.named_parameters():
            if "norm" not in name.lower():
                torch.nn.init.normal_(parameter, std=_SPREAD)
    return made.eval()


def _blip() -> Any:
    from transformers import BlipConfig, BlipForConditionalGeneration

    words = blip_words()
    text = {
        **_SIZES,
        "vocab_size": len(words),
        "encoder_hidden_size": _SIZES["hidden_size"],
        "max_position_embeddings": 64,
        "bos_token_id": words.convert_tokens_to_ids("[DEC]"),
        # The hub's checkpoint names a token here that never ends a caption; the separator does.
        "eos_token_id": 2,
        "sep_token_id": words.sep_token_id,
        "pad_token_id": words.pad_token_id,
        "initializer_range": _SPREAD,
    }
    vision = {**_SIZES, "image_size": SIDE, "patch_size": 8, "initializer_range": _SPREAD}
    return BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision))


def _blip2() -> Any:
    from transformers import Blip2Config, Blip2ForConditionalGeneration

    words = opt_words()
    text = {
        "model_type": "opt",
        "hidden_size": 32,
        "word_embed_proj_dim": 32,
        "ffn_dim": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 128,
        "vocab_size": len(words),
        "bos_token_id": words.bos_token_id,
        "pad_token_id": words.pad_token_id,
        # BLIP-2's OPT ends its answer with a newline.
        "eos_token_id": words("\n", add_special_tokens=False)["input_ids"][0],
        "init_std": _SPREAD,
        "dropout": 0.0,
    }
    vision = {**_SIZES, "image_size": SIDE, "patch_size": 8, "initializer_range": _SPREAD}
    former = {**_SIZES, "vocab_size": 10, "initializer_range": _SPREAD}
    config = Blip2Config(
        vision_config=vision,
        qformer_config=former,
        text_config=text,
        num_query_tokens=QUERIES,
        image_token_index=words.convert_tokens_to_ids("<image>"),
        initializer_range=_SPREAD,
    )
    return Blip2ForConditionalGeneration(config)


def blip_words() -> Any:
    """Return a tokenizer of BERT's kind, with BLIP's [DEC] and [ENC] behind its vocabulary."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    made = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_trained_words("blip")),
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
    )
    made.add_special_tokens({"additional_special_tokens": ["[DEC]", "[ENC]"]})
    return made


def opt_words() -> Any:
    """Return a tokenizer of OPT's kind: byte-level, </s> in front of a text, and <image> behind its vocabulary."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer.from_str(_trained_words("blip2"))
    made = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="</s>", eos_token="</s>", pad_token="<pad>", unk_token="</s>"
    )
    made.add_special_tokens({"additional_special_tokens": ["<image>"]})
    return made


@cache
def _trained_words(family: VisionFamily) -> str:
    """Return a tokenizer trained on Python's own documentation, as JSON."""
    from pydoc_data.topics import topics

    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    texts = [topics[name] for name in sorted(topics)[:12]]
    if family == "blip":
        backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        backend.normalizer = normalizers.BertNormalizer()
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        backend.decoder = decoders.WordPiece()
        specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        backend.train_from_iterator(
            texts, trainers.WordPieceTrainer(vocab_size=400, special_tokens=specials, show_progress=False)
        )
        backend.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            special_tokens=[(name, backend.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
        )
        return str(backend.to_str())
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "<pad>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="</s> $A", special_tokens=[("</s>", backend.token_to_id("</s>"))]
    )
    return str(backend.to_str())
