import ctypes
import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import whisper
from whisper import timing
from whisper.model import LayerNorm, MultiHeadAttention, Whisper

from bench.errors import InputError, ModelError
from bench.spec import Attention, Precision
from tests.worker import tiny_whisper
from tests.worker.fakes import FakeDevice
from worker.adapters.speech import SpeechAdapter, language_code


class StandInMps(FakeDevice):
    """An MPS device of the test's own; its tensors lie where `where` says."""

    name = "mps"
    has_float64 = False

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    @property
    def torch_device(self) -> torch.device:
        return torch.device(self.where)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_whisper.build(tmp_path_factory.mktemp("whisper") / "tiny.pt")


@pytest.fixture(scope="module")
def sound() -> Any:
    return np.random.default_rng(0).normal(0, 0.1, 16_000 * 3).astype(np.float32)


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the alignment of words as plain Python: numba takes ten seconds to compile it."""
    for name in ("dtw_cpu", "backtrace"):
        monkeypatch.setattr(timing, name, getattr(timing, name).py_func)


def load(
    path: Path,
    precision: Precision = "float32",
    attention: Attention = "sdpa",
    device: FakeDevice | None = None,
    compile_: bool = False,
    sha256: str | None = None,
) -> SpeechAdapter:
    return SpeechAdapter.load(path, precision, attention, compile_, device or FakeDevice(), sha256=sha256)


def bare(path: Path, sound: Any, **options: Any) -> dict[str, Any]:
    """Return what openai-whisper gives by itself."""
    model = whisper.load_model(str(path), device="cpu")
    settings = {"fp16": False, "temperature": 0.0, "condition_on_previous_text": False, **options}
    found: dict[str, Any] = whisper.transcribe(model, sound, **settings)
    return found


# ---- loading


def test_weights_are_those_that_whisper_itself_loads(tiny: Path) -> None:
    ours, theirs = load(tiny).model, whisper.load_model(str(tiny), device="cpu")
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor), name
    assert torch.equal(ours.decoder.mask, theirs.decoder.mask)
    assert torch.equal(ours.alignment_heads.to_dense(), theirs.alignment_heads.to_dense())
    assert not ours.training


def test_the_bytes_of_the_weights_are_counted(tiny: Path) -> None:
    state = torch.load(tiny, weights_only=True)["model_state_dict"]
    values = sum(tensor.numel() for tensor in state.values())
    mask = 448 * 448 * 4
    norms = sum(tensor.numel() for name, tensor in state.items() if "_ln." in name or ".ln" in name)
    assert load(tiny).weights_bytes == 4 * values + mask
    assert load(tiny, "float16", device=StandInMps("cpu")).weights_bytes == 2 * values + 2 * norms + mask


def test_half_precision_leaves_the_norms_alone(tiny: Path) -> None:
    model = load(tiny, "float16", device=StandInMps("cpu")).model
    norms = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, LayerNorm)
        for parameter in module.parameters()
    }
    assert len(norms) == 2 * (2 * 2 + 2 * 3 + 2)
    assert {parameter.dtype for parameter in model.parameters() if id(parameter) in norms} == {torch.float32}
    assert {parameter.dtype for parameter in model.parameters() if id(parameter) not in norms} == {torch.float16}


def test_what_openai_published_has_its_own_heads_for_the_times_of_words(tmp_path: Path) -> None:
    # Of the shape of base, since its mask of heads is looked up by the checksum that its download has.
    path = tiny_whisper.build(tmp_path / "base.pt", n_text_layer=6, n_text_head=8, n_text_state=64, n_audio_state=64)
    sha256 = whisper._MODELS["base"].split("/")[-2]
    theirs = whisper.load_model(str(path), device="cpu")
    theirs.set_alignment_heads(whisper._ALIGNMENT_HEADS["base"])
    assert torch.equal(load(path, sha256=sha256).model.alignment_heads.to_dense(), theirs.alignment_heads.to_dense())
    assert not torch.equal(
        load(path, sha256="0" * 64).model.alignment_heads.to_dense(), theirs.alignment_heads.to_dense()
    )


def test_an_old_checkpoint_without_a_zip_archive_loads(tiny: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.pt"
    torch.save(torch.load(tiny, weights_only=True), old, _use_new_zipfile_serialization=False)
    assert load(old).weights_bytes == load(tiny).weights_bytes


def test_loading_holds_one_copy_of_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # 174 MB in float32, of which 106 are one tensor: the embedding of the tokens.
    path = tiny_whisper.build(tmp_path / "wide.pt", n_text_state=512, n_audio_state=512, n_text_head=8, n_audio_head=8)
    if not Path("/proc/self/status").exists():
        pytest.skip("the process's own memory is read from Linux's /proc")
    seen: list[int] = []
    fill = Whisper.load_state_dict

    def load_state_dict(model: Any, state: Any, **options: Any) -> Any:
        # Here is the most: all of ours, and the checkpoint not let go yet.
        seen.append(own_bytes())
        return fill(model, state, **options)

    monkeypatch.setattr(Whisper, "load_state_dict", load_state_dict)
    # What was freed and is kept for reuse would hide what is taken now.
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    before = own_bytes()
    weights = load(path).weights_bytes
    assert weights > 150e6
    # The checkpoint's pages are the file's. Held beside ours they would be 1.5, and two models 2.
    assert 0.7 * weights < seen[0] - before < 1.2 * weights


def own_bytes() -> int:
    """Return the memory of this process that no file stands behind."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


@pytest.mark.parametrize("precision", ["bfloat16", "int8", "int4"])
def test_a_precision_that_whisper_does_not_have_is_refused_with_those_it_has(tiny: Path, precision: Precision) -> None:
    with pytest.raises(ModelError, match=f"Whisper can't be run in {precision}; it can in float32, float16"):
        load(tiny, precision)


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_unexpected_and_misshapen_tensors_are_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.pt"
    content = tiny_whisper.checkpoint()
    state = content["model_state_dict"]
    state["decoder.ln.weight"] = torch.ones(31)
    torch.save(content, path)
    assert refusal(path) == f"the weights in {path} do not fit: 1 are of another shape (decoder.ln.weight)"
    state["decoder.surplus"] = torch.ones(1)
    torch.save(content, path)
    assert refusal(path) == f"the weights in {path} do not fit: 1 are unexpected (decoder.surplus)"
    for name in ("encoder.conv1.weight", "encoder.conv1.bias", "encoder.conv2.bias", "encoder.conv2.weight"):
        del state[name]
    torch.save(content, path)
    assert refusal(path) == (
        f"the weights in {path} do not fit: 4 are missing (encoder.conv1.bias, encoder.conv1.weight, "
        "encoder.conv2.bias ...)"
    )


@pytest.mark.parametrize(
    "content", [{"model_state_dict": {}}, {"dims": {"n_mels": 80}, "model_state_dict": {}}, [1, 2]]
)
def test_a_file_of_torch_that_is_no_checkpoint_says_so(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "other.pt"
    torch.save(content, path)
    assert refusal(path) == f'{path} is no checkpoint of openai-whisper: those hold "dims" and "model_state_dict"'


def test_a_damaged_file_and_a_folder_say_so(tiny: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.pt"
    cut.write_bytes(tiny.read_bytes()[:100_000])
    assert refusal(cut) == f"{cut} is damaged or cut off, or no checkpoint of openai-whisper"
    assert (
        refusal(tmp_path) == f"{tmp_path} is a folder; a speech model is one file, a checkpoint of openai-whisper (.pt)"
    )


def test_a_checkpoint_can_not_run_code(tmp_path: Path) -> None:
    path, trace = tmp_path / "evil.pt", tmp_path / "trace"

    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (trace,))

    torch.save({"dims": {}, "model_state_dict": Evil()}, path)
    assert refusal(path) == f"{path} is damaged or cut off, or no checkpoint of openai-whisper"
    assert not trace.exists()


def test_compiling_takes_the_encoder(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []

    def compile_(forward: Any) -> Any:
        compiled.append(forward)
        return forward

    monkeypatch.setattr(torch, "compile", compile_)
    model = load(tiny, compile_=True).model
    assert [forward.__self__ for forward in compiled] == [model.encoder]


# ---- transcribing


@pytest.mark.parametrize("language", ["en", "de", None])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_transcript_is_what_whisper_itself_gives(
    tiny: Path, sound: Any, language: str | None, attention: Attention
) -> None:
    found = load(tiny, attention=attention).transcribe(sound, language=language)
    expected = bare(tiny, sound, language=language)
    assert found.text == expected["text"].strip()
    assert found.language == expected["language"]
    assert found.new_tokens == sum(len(segment["tokens"]) for segment in expected["segments"])
    assert found.words == ()


@pytest.mark.usefixtures("uncompiled")
def test_the_times_of_words_are_those_that_whisper_itself_gives(tiny: Path, sound: Any) -> None:
    found = load(tiny).transcribe(sound, language="en", word_timestamps=True, max_new_tokens=40)
    expected = bare(tiny, sound, language="en", word_timestamps=True, sample_len=40)
    words = [word for segment in expected["segments"] for word in segment["words"]]
    assert len(words) > 1
    assert [(word.text, word.start_seconds, word.end_seconds) for word in found.words] == [
        (word["word"].strip(), float(word["start"]), float(word["end"])) for word in words
    ]


def test_a_window_that_is_cut_is_told(tiny: Path, sound: Any) -> None:
    # Random weights do not end by themselves.
    found = load(tiny).transcribe(sound, language="en", max_new_tokens=7)
    assert (found.new_tokens, found.finish) == (7, "length")


def test_eager_attention_holds_for_the_call_alone(tiny: Path, sound: Any) -> None:
    adapter = load(tiny, attention="eager")
    seen: list[bool] = []
    adapter.model.encoder.register_forward_hook(lambda *_: seen.append(MultiHeadAttention.use_sdpa))
    adapter.transcribe(sound, language="en", max_new_tokens=2)
    assert set(seen) == {False}
    assert MultiHeadAttention.use_sdpa is True


def test_sampling_is_repeatable_by_its_seed(tiny: Path, sound: Any) -> None:
    adapter = load(tiny)

    def text(seed: int) -> str:
        return adapter.transcribe(sound, language="en", temperature=1.0, max_new_tokens=20, seed=seed).text

    assert text(1) == text(1)
    assert text(1) != text(2)


def test_half_precision_on_the_cpu_is_refused_with_what_it_can(tiny: Path) -> None:
    with pytest.raises(ModelError, match=r"Whisper can't be run in float16 on the CPU: .*; it can in float32$"):
        load(tiny, "float16")


def test_a_model_that_knows_english_alone(tmp_path: Path, sound: Any) -> None:
    english = load(tiny_whisper.build(tmp_path / "tiny.en.pt", n_vocab=51864))
    assert english.is_multilingual is False
    assert english.transcribe(sound, language="en", max_new_tokens=5).language == "en"


@pytest.mark.parametrize(
    ("given", "code"), [("en", "en"), ("en-GB", "en"), ("pt_BR", "pt"), ("German", "de"), ("yue", "yue")]
)
def test_a_language_is_known_by_its_code_and_its_name(given: str, code: str) -> None:
    assert language_code(given) == code


def test_an_unknown_language_is_refused_with_near_ones() -> None:
    with pytest.raises(InputError, match="Whisper knows no language 'germn'; did you mean 'german'"):
        language_code("germn")


# ---- MPS, by a stand-in


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_on_mps_weights_move_and_the_sparse_mask_stays(tiny: Path, precision: Precision) -> None:
    model = load(tiny, precision, device=StandInMps("meta")).model
    assert {tensor.device.type for tensor in (*model.parameters(), *model.buffers())} == {"meta"}
    assert model.alignment_heads.is_sparse
    assert model.alignment_heads.device.type == "cpu"
    assert not any(name == "alignment_heads" for name, _ in model.named_buffers())


@pytest.mark.usefixtures("uncompiled")
def test_on_mps_no_tensor_is_ever_float64_there(tiny: Path, sound: Any) -> None:
    # Whisper's own makes it float64 before it leaves the device.
    own = timing.dtw
    adapter = load(tiny, device=StandInMps("cpu"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "dtw", lambda matrix: pytest.fail("float64 on MPS"))
        found = adapter.transcribe(sound, language="en", word_timestamps=True, max_new_tokens=20)
    assert timing.dtw is own
    assert found.words == load(tiny).transcribe(sound, language="en", word_timestamps=True, max_new_tokens=20).words


class Matrix:
    """A tensor on a device without float64."""

    def __init__(self, values: torch.Tensor) -> None:
        self.values = values

    def cpu(self) -> torch.Tensor:
        return self.values

    def double(self) -> torch.Tensor:
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype")


@pytest.mark.usefixtures("uncompiled")
def test_on_mps_the_alignment_leaves_the_device_first(tiny: Path) -> None:
    values = torch.randn(4, 9, generator=torch.Generator().manual_seed(0))
    with load(tiny, device=StandInMps("cpu"))._ways():
        found = timing.dtw(Matrix(values))
    assert found.tolist() == timing.dtw(values).tolist()


@pytest.mark.parametrize(("precision", "fp16"), [("float16", True), ("float32", False)])
def test_whisper_is_told_in_which_precision_to_compute(
    tiny: Path, sound: Any, precision: Precision, fp16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = load(tiny, precision, device=StandInMps("cpu"))
    asked: list[Any] = []

    def transcribe(samples: Any, **options: Any) -> dict[str, Any]:
        asked.append(options)
        return {"text": " a ", "segments": [], "language": "en"}

    monkeypatch.setattr(adapter.model, "transcribe", transcribe)
    assert adapter.transcribe(sound, language="en").text == "a"
    assert [options["fp16"] for options in asked] == [fp16]
