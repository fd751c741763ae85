"""Whisper: OpenAI's own package and checkpoints, one clip at a time."""

import contextlib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import whisper
from numpy.typing import NDArray
from torch import nn
from whisper import timing
from whisper.model import AudioEncoder, LayerNorm, ModelDimensions, TextDecoder, Whisper, disable_sdpa
from whisper.tokenizer import LANGUAGES, TO_LANGUAGE_CODE

from bench.causes import first_line
from bench.errors import InputError, ModelError, suggest
from bench.spec import Attention, Precision
from worker.adapters.compiling import compiled
from worker.device import Device, is_out_of_memory

_DTYPES = {"float32": torch.float32, "float16": torch.float16}


class Word(NamedTuple):
    """One word of a transcript and when it is said, in seconds from the clip's start."""

    text: str
    start_seconds: float
    end_seconds: float
    probability: float


class Transcript(NamedTuple):
    """What was heard in one clip."""

    text: str
    #: the language that was given or detected ("en")
    language: str
    #: tokens that the decoder wrote, those of timestamps among them
    new_tokens: int
    #: `stop`, or `length` where a window of 30 s was cut at the most tokens
    finish: str
    #: the words with their times, where those were asked for
    words: tuple[Word, ...] = ()


class SpeechAdapter:
    """A loaded Whisper."""

    def __init__(self, model: Any, precision: Precision, attention: Attention, device: Device) -> None:
        #: the model itself
        self.model = model
        self._device = device
        #: how attention is computed
        self.attention = attention
        self._half = precision == "float16"
        #: bytes of parameters and buffers, each tensor once
        self.weights_bytes = sum(
            tensor.numel() * tensor.element_size() for tensor in (*model.parameters(), *model.buffers())
        )
        #: whether it was trained on more than English
        self.is_multilingual = bool(model.is_multilingual)
        #: what packed the weights: nothing does
        self.quantiser: str | None = None
        #: most tokens that are written for a window of 30 s
        self.max_new_tokens: int = model.dims.n_text_ctx // 2

    @property
    def stepping(self) -> Any:
        """The module that is called once for each step of writing."""
        return self.model.decoder

    @classmethod
    def load(
        cls,
        path: Path,
        precision: Precision,
        attention: Attention,
        compile_: bool,
        device: Device,
        *,
        sha256: str | None = None,
    ) -> "SpeechAdapter":
        """Return the model in a checkpoint of openai-whisper (a .pt file), on the device and ready.

        `sha256` is the file's; it tells OpenAI's own checkpoints, for which the heads that align words with time are
        known. Of `compile_` the encoder is compiled: the decoder's work is in hooks that a compiler can't see.
        Raises ModelError where it can't be loaded so; what memory says passes through.
        """
        if precision not in _DTYPES:
            raise ModelError(f"Whisper can't be run in {precision}; it can in {', '.join(_DTYPES)}")
        if precision == "float16" and device.name == "cpu":
            # It takes 6 to 12 times as long: what would be measured is the conversion.
            raise ModelError(
                "Whisper can't be run in float16 on the CPU: it computes in float32 there, and would convert all its "
                "weights for every token; it can in float32"
            )
        try:
            model = _loaded(path, _DTYPES[precision], device.torch_device)
        except ModelError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise ModelError(f"the model in {path} can't be loaded: {first_line(error)}") from error
        _keep_mask_on_cpu(model, sha256)
        if compile_:
            model.encoder.forward = compiled(model.encoder.forward)
        return cls(model, precision, attention, device)

    def transcribe(
        self,
        samples: NDArray[np.float32],
        *,
        language: str | None = None,
        word_timestamps: bool = False,
        temperature: float = 0.0,
        max_new_tokens: int | None = None,
        seed: int = 0,
    ) -> Transcript:
        """Return what is said in samples of 16 kHz, mono; `language` None has it detected.

        `max_new_tokens` is for each window of 30 s. The same seed gives the same text.
        """
        if temperature > 0:
            torch.manual_seed(seed)
        length = min(max_new_tokens or self.max_new_tokens, self.max_new_tokens)
        with self._ways():
            found = self.model.transcribe(
                samples,
                # None is Whisper's way to be silent.
                verbose=None,
                fp16=self._half,
                # A tuple would try higher ones where the text looks bad.
                temperature=float(temperature),
                language=language,
                # What a window says must not depend on a loop in the one before.
                condition_on_previous_text=False,
                word_timestamps=word_timestamps,
                sample_len=length,
            )
        return _transcript(found, length)

    @contextlib.contextmanager
    def _ways(self) -> Iterator[None]:
        """Compute attention as the job says, and the alignment of words where the device can."""
        with disable_sdpa() if self.attention == "eager" else contextlib.nullcontext():
            before = timing.dtw
            if not self._device.has_float64:
                timing.dtw = _dtw_on_cpu
            try:
                yield
            finally:
                timing.dtw = before


def language_code(language: str) -> str:
    """Return Whisper's code of a language: "en" for "en-GB" or "English".

    Raises InputError for one that it does not know.
    """
    name = language.strip().lower()
    code: str = TO_LANGUAGE_CODE.get(name, name.replace("_", "-").partition("-")[0])
    if code not in LANGUAGES:
        raise InputError(f"Whisper knows no language {language!r}{suggest(name, (*LANGUAGES, *TO_LANGUAGE_CODE))}")
    return code


def _transcript(found: Mapping[str, Any], length: int) -> Transcript:
    windows: dict[int, int] = {}
    for segment in found["segments"]:
        windows[segment["seek"]] = windows.get(segment["seek"], 0) + len(segment["tokens"])
    words = (word for segment in found["segments"] for word in segment.get("words", ()))
    return Transcript(
        found["text"].strip(),
        found["language"],
        sum(windows.values()),
        "length" if any(tokens >= length for tokens in windows.values()) else "stop",
        tuple(
            Word(word["word"].strip(), float(word["start"]), float(word["end"]), float(word["probability"]))
            for word in words
        ),
    )


def _dtw_on_cpu(matrix: Any) -> Any:
    """Return the path of dynamic time warping, as `whisper.timing.dtw`, which asks the device for float64 first."""
    return timing.dtw_cpu(matrix.cpu().double().numpy())


# ---- loading


def _loaded(path: Path, dtype: torch.dtype, device: torch.device) -> Any:
    """Return a checkpoint's model.

    `whisper.load_model` fills a whole model with random numbers and then holds the checkpoint beside it; this brings
    one tensor after the other from the file to its place.
    """
    dimensions, tensors = _checkpoint(path)
    model = _Empty(dimensions)
    _check_tensors(path, model.state_dict(), tensors)
    norms = {f"{name}." for name, module in model.named_modules() if isinstance(module, LayerNorm)}
    state = {
        # Whisper's LayerNorm computes in float32.
        name: tensor.to(device, torch.float32 if name.rpartition(".")[0] + "." in norms else dtype, copy=True)
        for name, tensor in tensors.items()
    }
    model.load_state_dict(state, assign=True)
    model.decoder.mask = torch.full((dimensions.n_text_ctx,) * 2, float("-inf")).triu(1).to(device)
    return model.requires_grad_(False).eval()


class _Empty(Whisper):  # type: ignore[misc]
    """Whisper without memory for its weights. Its own constructor makes a sparse mask, which can't be made so."""

    def __init__(self, dims: Any) -> None:
        nn.Module.__init__(self)
        self.dims = dims
        with torch.device("meta"):
            self.encoder = AudioEncoder(
                dims.n_mels, dims.n_audio_ctx, dims.n_audio_state, dims.n_audio_head, dims.n_audio_layer
            )
            self.decoder = TextDecoder(
                dims.n_vocab, dims.n_text_ctx, dims.n_text_state, dims.n_text_head, dims.n_text_layer
            )


def _checkpoint(path: Path) -> tuple[Any, dict[str, torch.Tensor]]:
    """Return a checkpoint's dimensions and its tensors, which stay in the file until they are used."""
    if path.is_dir():
        raise ModelError(f"{path} is a folder; a speech model is one file, a checkpoint of openai-whisper (.pt)")
    try:
        content = torch.load(path, map_location="cpu", mmap=zipfile.is_zipfile(path), weights_only=True)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        # What torch says of such a file is long, and advises to run the code in it.
        raise ModelError(f"{path} is damaged or cut off, or no checkpoint of openai-whisper") from error
    try:
        return ModelDimensions(**content["dims"]), dict(content["model_state_dict"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ModelError(
            f'{path} is no checkpoint of openai-whisper: those hold "dims" and "model_state_dict"'
        ) from error


def _check_tensors(path: Path, wanted: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> None:
    """Raise ModelError where tensors are missing, unexpected, or of another shape."""
    missing = sorted(wanted.keys() - found.keys())
    unexpected = sorted(found.keys() - wanted.keys())
    other = sorted(name for name in wanted.keys() & found.keys() if wanted[name].shape != found[name].shape)
    for names, what in ((missing, "missing"), (unexpected, "unexpected"), (other, "of another shape")):
        if names:
            some = ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
            raise ModelError(f"the weights in {path} do not fit: {len(names)} are {what} ({some})")


def _keep_mask_on_cpu(model: Any, sha256: str | None) -> None:
    """Give a model the heads that align words with time, where moving it does not reach them.

    The mask is sparse, and MPS can't hold a sparse tensor on some versions.
    """
    size = next((size for size, url in whisper._MODELS.items() if f"/{sha256}/" in url), None)
    if size is not None:
        model.set_alignment_heads(whisper._ALIGNMENT_HEADS[size])
        mask = model._buffers.pop("alignment_heads")
    else:
        # Whisper's choice for a model that it does not know: the last half of the layers.
        layers = model.dims.n_text_layer
        dense = torch.zeros(layers, model.dims.n_text_head, dtype=torch.bool)
        dense[layers // 2 :] = True
        mask = dense.to_sparse()
    model.alignment_heads = mask
