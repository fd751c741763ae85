"""Sound files as a speech model hears them: 16 kHz, mono, float32. Only the session process uses it.

libsndfile, which the package soundfile brings along, reads WAV, FLAC, Ogg, Opus, MP3 and AIFF; a few formats more are
left to ffmpeg where it is there. ffmpeg is told the format, never asked to guess it: a playlist could make it open
other files.
"""

import io
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.causes import first_line
from bench.errors import InputError

#: samples in a second of what `decode` returns
SAMPLE_RATE = 16_000
#: longest clip, in seconds. Whisper computes the spectrogram of a whole clip at once, which takes 0.55 MB for each
#: second: that of a longer one would not fit beside the weights into the memory that the catalog gives to Whisper base
MAX_SECONDS = 600
#: largest file; ten minutes of uncompressed stereo at 96 kHz have 220 MiB in 16 bits
MAX_BYTES = 512 * 1024 * 1024
#: seconds after which ffmpeg is given up
FFMPEG_SECONDS = 300.0
#: rates of sampling that are taken for sound
_RATES = range(4_000, 768_001)
#: values that are read at once
_BLOCK = 1 << 20


class _Form(NamedTuple):
    """How a format of chunks writes its lengths, and what it calls the chunk of the samples."""

    order: Literal["little", "big"]
    samples: bytes


_FORMS = {b"RIFF": _Form("little", b"data"), b"FORM": _Form("big", b"SSND")}
#: lengths from here on are written by programs that write into a pipe, and so know none
_UNKNOWN_LENGTH = 0x7FFF_0000

#: float32 of shape (samples,)
Samples = NDArray[np.float32]


def decode(source: bytes | Path, name: str) -> Samples:
    """Return a sound file's samples at 16 kHz, its channels averaged.

    `name` is what messages call it. Raises InputError where it is empty, too long, a video, damaged or no sound, and
    where only ffmpeg could read it and is not there.
    """
    data = _read(source, name)
    if video := _first(_VIDEOS, data):
        raise InputError(f"{name} is a video ({video}); take its sound out: ffmpeg -i VIDEO -vn sound.flac")
    samples = _decoded(data, name)
    if not len(samples):
        raise InputError(f"{name} holds no sound: it has 0 samples")
    if not np.isfinite(samples).all():
        raise InputError(f"{name} is damaged: some of its samples are no numbers")
    return samples


def _read(source: bytes | Path, name: str) -> bytes:
    """Return a file's content, which is not empty and not too large."""
    if isinstance(source, Path):
        try:
            if not source.is_file():
                raise InputError(f"{name}: there is no file {source}")
            size = source.stat().st_size
            data = source.read_bytes() if size <= MAX_BYTES else b""
        except OSError as error:
            raise InputError(f"{name} can't be read: {error.strerror or error}") from error
    else:
        size, data = len(source), source
    if size > MAX_BYTES:
        raise InputError(f"{name} has {size / 2**20:.0f} MiB; a clip may have {MAX_BYTES / 2**20:.0f}: split it")
    if not size:
        raise InputError(f"{name} is empty: it has 0 bytes")
    return data


def _decoded(data: bytes, name: str) -> Samples:
    import soundfile

    try:
        # A stream, not a path: by a path's ending soundfile would take noise for sound without a header.
        file = soundfile.SoundFile(io.BytesIO(data))
    except soundfile.LibsndfileError as error:
        if (known := _first(_FOREIGN, data)) is None:
            reason = str(error).removeprefix("Error opening ").partition(": ")[2] or str(error)
            raise InputError(f"{name} is no sound file that can be read: {reason.strip().rstrip('.')}") from error
        return _by_ffmpeg(data, _Foreign(*known.split("/")), name)
    with file:
        samples = _mono(file, name)
        _check_whole(data, len(samples) / file.samplerate, name)
        return _resampled(samples, file.samplerate)


# ---- libsndfile


def _mono(file: Any, name: str) -> Samples:
    """Return the mean of an open file's channels at its own rate."""
    import soundfile

    rate, expected = file.samplerate, file.frames
    if rate not in _RATES:
        raise InputError(f"{name} has {rate} samples a second; sound has {_RATES.start} to {_RATES.stop - 1}")
    _check_length(expected / rate, name)
    blocks: list[Samples] = []
    read = 0
    try:
        while len(block := file.read(max(1, _BLOCK // file.channels), dtype="float32", always_2d=True)):
            read += len(block)
            # A header may say nothing of the length, or lie.
            _check_length(read / rate, name)
            blocks.append(block.mean(axis=1, dtype=np.float32))
    except soundfile.LibsndfileError as error:
        raise InputError(f"{name} is damaged after {read / rate:.1f} s: {error.error_string.rstrip('.')}") from error
    if read < expected:
        raise InputError(f"{name} is cut off: it has {read / rate:.1f} s of {expected / rate:.1f} s")
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def _check_whole(data: bytes, seconds: float, name: str) -> None:
    """Raise InputError for a WAV or AIFF file that ends within its samples: libsndfile takes what is there for all."""
    form = _FORMS.get(data[:4])
    place = 12
    while form is not None and place + 8 <= len(data):
        chunk, length = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], form.order)
        place += 8
        if chunk == form.samples:
            there = len(data) - place
            if there < length < _UNKNOWN_LENGTH:
                raise InputError(
                    f"{name} is cut off: it has {seconds:.1f} s of {seconds * length / max(there, 1):.1f} s"
                )
            return
        place += length + length % 2


def _check_length(seconds: float, name: str) -> None:
    if seconds > MAX_SECONDS:
        raise InputError(
            f"{name} is longer than {MAX_SECONDS / 60:.0f} minutes, the most that a clip may have: split it"
        )


def _resampled(samples: Samples, rate: int) -> Samples:
    """Return samples of a rate at 16 kHz, without what lies above 8 kHz."""
    import soxr

    if rate == SAMPLE_RATE or not len(samples):
        return samples
    return np.asarray(soxr.resample(samples, rate, SAMPLE_RATE, quality="HQ"), dtype=np.float32)


# ---- what a file is, by its first bytes


def _first(kinds: tuple[tuple[str, re.Pattern[bytes]], ...], data: bytes) -> str | None:
    """Return the first kind whose pattern a file begins with."""
    return next((kind for kind, pattern in kinds if pattern.match(data)), None)


def _kind(name: str, pattern: bytes) -> tuple[str, re.Pattern[bytes]]:
    return name, re.compile(pattern, re.DOTALL)


#: how far into a file codecs are looked for
_HEAD = rb".{0,65536}?"

#: containers with pictures in them
_VIDEOS = (
    # A box `hdlr` says what a track holds; it may stand at the file's end.
    _kind("MP4", rb".{4}ftyp.*hdlr.{8}vide"),
    _kind(
        "Matroska", rb"\x1a\x45\xdf\xa3" + _HEAD + rb"V_(?:VP[89]|AV1|MPEG|THEORA|MS/VFW|PRORES|FFV1|MJPEG|QUICKTIME)"
    ),
    _kind("AVI", rb"RIFF.{4}AVI "),
    _kind("Ogg Theora", rb"OggS.{0,4096}?\x80theora"),
    _kind("MPEG", rb"\x00\x00\x01[\xb3\xba]"),
    _kind("MPEG transport stream", rb"\x47.{187}\x47.{187}\x47"),
    _kind("Flash", rb"FLV\x01"),
    _kind("WMV", rb"\x30\x26\xb2\x75" + _HEAD + rb"\xc0\xef\x19\xbc\x4d\x5b\xcf\x11\xa8\xfd\x00\x80\x5f\x5c\x44\x2b"),
)

#: formats that ffmpeg reads: its name of one, and ours
_FOREIGN = (
    _kind("mov/M4A", rb".{4}ftyp"),
    _kind("matroska/Matroska", rb"\x1a\x45\xdf\xa3"),
    _kind("asf/WMA", rb"\x30\x26\xb2\x75"),
    _kind("aac/AAC", rb"\xff[\xf0\xf1\xf8\xf9]"),
    _kind("amr/AMR", rb"#!AMR"),
    _kind("ac3/AC-3", rb"\x0b\x77"),
    _kind("wv/WavPack", rb"wvpk"),
    _kind("ape/Monkey's Audio", rb"MAC "),
    _kind("tta/TTA", rb"TTA1"),
    # Containers whose codec libsndfile does not know.
    _kind("ogg/Ogg", rb"OggS"),
    _kind("caf/CAF", rb"caff"),
    _kind("wav/WAV", rb"RIFF.{4}WAVE"),
    _kind("aiff/AIFF", rb"FORM.{4}AIF[FC]"),
)


# ---- ffmpeg


class _Foreign(NamedTuple):
    """A format that is left to ffmpeg."""

    demuxer: str
    name: str


def _by_ffmpeg(data: bytes, kind: _Foreign, name: str) -> Samples:
    program = shutil.which("ffmpeg")
    if program is None:
        raise InputError(
            f"{name} is {kind.name}, which needs ffmpeg, and this worker's PATH has none; install it there, or convert "
            "the clip to FLAC or WAV"
        )
    # A file, since some formats must be read from their end.
    with tempfile.NamedTemporaryFile(prefix="benchbeat-", suffix=".sound") as file:
        file.write(data)
        file.flush()
        said = _run(list(_command(program, kind, file.name)), name)
    samples: Samples = np.frombuffer(said, dtype="<f4").astype(np.float32)
    _check_length(len(samples) / SAMPLE_RATE, name)
    return samples


def _command(program: str, kind: _Foreign, path: str) -> Iterator[str]:
    """Yield the words of a command that writes a file's first sound track as float32 at 16 kHz."""
    yield from (program, "-nostdin", "-v", "error", "-protocol_whitelist", "file", "-f", kind.demuxer)
    yield from ("-i", f"file:{path}", "-map", "0:a:0", "-ac", "1", "-ar", str(SAMPLE_RATE))
    # A second beyond the longest, so that one that is too long is seen to be.
    yield from ("-t", str(MAX_SECONDS + 1), "-f", "f32le", "pipe:1")


def _run(command: list[str], name: str) -> bytes:
    try:
        done = subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=FFMPEG_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"ffmpeg did not finish {name} within {FFMPEG_SECONDS:.0f} s; convert it to FLAC") from error
    except OSError as error:
        raise InputError(f"{command[0]} can't be started: {first_line(error)}") from error
    if done.returncode != 0:
        reason = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise InputError(f"ffmpeg can't read {name}: {reason[-1] if reason else 'it said nothing'}")
    return done.stdout
