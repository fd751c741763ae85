import io
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from bench.errors import InputError
from worker import audio
from worker.audio import MAX_SECONDS, SAMPLE_RATE, Samples, decode


def tone(hertz: float, rate: int, seconds: float = 1.0, amplitude: float = 0.5) -> Samples:
    times = np.arange(round(rate * seconds)) / rate
    return (amplitude * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def written(samples: Samples, rate: int = SAMPLE_RATE, format: str = "FLAC", subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=format, subtype=subtype)
    return file.getvalue()


def middle(samples: Samples) -> Samples:
    """Return samples without what a filter does to the ends."""
    return samples[len(samples) // 10 : -len(samples) // 10]


@pytest.mark.parametrize(
    ("format", "subtype"), [("FLAC", "PCM_16"), ("WAV", "PCM_16"), ("WAV", "FLOAT"), ("AIFF", None)]
)
def test_what_is_at_16_khz_comes_as_it_is(format: str, subtype: str | None) -> None:
    samples = tone(440, SAMPLE_RATE)
    found = decode(written(samples, SAMPLE_RATE, format, subtype), "x")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, samples, atol=2**-15)


@pytest.mark.parametrize(("format", "subtype"), [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")])
def test_compressed_sound_is_read_too(format: str, subtype: str) -> None:
    found = decode(written(tone(440, 48_000), 48_000, format, subtype), "x")
    assert len(found) / SAMPLE_RATE == pytest.approx(1.0, abs=0.1)
    assert np.abs(np.fft.rfft(found)).argmax() / (len(found) / SAMPLE_RATE) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000])
def test_another_rate_is_the_same_sine_at_16_khz(rate: int) -> None:
    found = decode(written(tone(1000, rate), rate), "x")
    assert abs(len(found) - SAMPLE_RATE) <= 1
    np.testing.assert_allclose(middle(found), middle(tone(1000, SAMPLE_RATE)[: len(found)]), atol=2e-3)


@pytest.mark.parametrize("hertz", [8_800, 11_000, 15_000, 20_000])
def test_what_16_khz_can_not_hold_does_not_come_back_as_another_tone(hertz: float) -> None:
    found = decode(written(tone(hertz, 44_100), 44_100), "x")
    assert np.abs(middle(found)).max() < 0.5 * 10 ** (-80 / 20)


def test_channels_are_averaged() -> None:
    left, right = tone(300, SAMPLE_RATE), tone(700, SAMPLE_RATE)
    found = decode(written(np.stack([left, right], axis=1)), "x")
    np.testing.assert_allclose(found, (left + right) / 2, atol=2**-14)


def test_a_file_is_read_whatever_its_name_says(tmp_path: Path) -> None:
    # By this ending soundfile takes a file for samples without a header.
    path = tmp_path / "clip.raw"
    path.write_bytes(written(tone(440, SAMPLE_RATE)))
    assert len(decode(path, "x")) == SAMPLE_RATE


def test_long_files_are_read_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = tone(440, SAMPLE_RATE)
    monkeypatch.setattr(audio, "_BLOCK", 1000)
    np.testing.assert_allclose(decode(written(samples), "x"), samples, atol=2**-15)


def test_silence_is_sound() -> None:
    assert not decode(written(np.zeros(SAMPLE_RATE, np.float32)), "x").any()


# ---- bad input


def refusal(source: bytes | Path) -> str:
    with pytest.raises(InputError) as caught:
        decode(source, "the clip")
    return str(caught.value)


def test_an_empty_file_says_so() -> None:
    assert refusal(b"") == "the clip is empty: it has 0 bytes"


def test_a_file_without_samples_says_so() -> None:
    assert refusal(written(np.zeros(0, np.float32), format="WAV")) == "the clip holds no sound: it has 0 samples"


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.wav") == f"the clip: there is no file {tmp_path / 'none.wav'}"


def test_an_hour_is_refused_by_its_header_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    # An hour of silence is a few KB of FLAC.
    hour = written(np.zeros(3600 * 4000, np.float32), 4000)
    monkeypatch.setattr(soundfile.SoundFile, "read", lambda *_, **__: pytest.fail("it was read"))
    assert refusal(hour) == "the clip is longer than 10 minutes, the most that a clip may have: split it"


def test_a_header_that_lies_about_the_length_does_not_help() -> None:
    data = bytearray(written(np.zeros((MAX_SECONDS + 60) * 4000, np.float32), 4000))
    # STREAMINFO's last 36 bits before the MD5: the number of samples; 0 is "not known".
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    assert refusal(bytes(data)).startswith("the clip is longer than 10 minutes")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.wav"
    with path.open("wb") as file:
        file.truncate(audio.MAX_BYTES + 2**20)
    assert refusal(path) == "the clip has 513 MiB; a clip may have 512: split it"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\0\0\0\x20ftypisom" + bytes(900) + b"\0\0\0\x20hdlr" + bytes(8) + b"vide" + bytes(90), "MP4"),
        (b"\x1a\x45\xdf\xa3" + bytes(300) + b"V_VP9" + bytes(99), "Matroska"),
        (b"RIFF\0\0\0\0AVI LIST" + bytes(99), "AVI"),
        (b"OggS" + bytes(24) + b"\x80theora" + bytes(99), "Ogg Theora"),
        (b"\0\0\x01\xba" + bytes(99), "MPEG"),
        ((b"\x47" + bytes(187)) * 4, "MPEG transport stream"),
        (b"FLV\x01" + bytes(99), "Flash"),
        (
            b"\x30\x26\xb2\x75" + bytes(99) + bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b") + bytes(99),
            "WMV",
        ),
    ],
)
def test_a_video_is_named_with_the_way_out(data: bytes, kind: str) -> None:
    assert refusal(data) == f"the clip is a video ({kind}); take its sound out: ffmpeg -i VIDEO -vn sound.flac"


@pytest.mark.parametrize("data", [b"# a text\n", b"GIF89a" + bytes(400), b"\x89PNG\r\n\x1a\n" + bytes(99), b"\0"])
def test_what_is_no_sound_says_so(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert refusal(data).startswith("the clip is no sound file that can be read: ")
    assert "\n" not in refusal(data)


def noise(seconds: int) -> Samples:
    return np.random.default_rng(0).uniform(-0.5, 0.5, SAMPLE_RATE * seconds).astype(np.float32)


def test_a_file_that_is_cut_off_is_not_taken_for_a_shorter_one() -> None:
    data = written(noise(5))
    assert refusal(data[: len(data) // 2]).startswith(("the clip is cut off: it has ", "the clip is damaged after "))


@pytest.mark.parametrize("format_", ["WAV", "AIFF", "WAVEX"])
def test_nor_is_one_whose_format_libsndfile_takes_as_far_as_it_goes(format_: str) -> None:
    data = written(noise(4), format=format_, subtype="PCM_16")
    assert refusal(data[: -SAMPLE_RATE * 2]) == "the clip is cut off: it has 3.0 s of 4.0 s"
    # Not even a byte may be missing; but what stands behind the samples may.
    assert "is cut off" in refusal(data[:-1])
    assert len(decode(data + b"LIST\0\0\1\0half", "the clip")) == SAMPLE_RATE * 4


@pytest.mark.parametrize("length", [0x7FFF_F000, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_a_file_that_was_written_into_a_pipe_does_not_know_its_length(length: int) -> None:
    data = bytearray(written(noise(1), format="WAV", subtype="PCM_16"))
    place = data.index(b"data") + 4
    data[4:8] = data[place : place + 4] = length.to_bytes(4, "little")
    assert len(decode(bytes(data), "the clip")) == SAMPLE_RATE


def test_samples_that_are_no_numbers_are_refused() -> None:
    samples = tone(440, SAMPLE_RATE)
    samples[17] = np.nan
    said = refusal(written(samples, format="WAV", subtype="FLOAT"))
    assert said == "the clip is damaged: some of its samples are no numbers"


def test_a_rate_that_no_sound_has_is_refused() -> None:
    data = written(np.zeros(10, np.float32), 100, "WAV")
    assert refusal(data) == "the clip has 100 samples a second; sound has 4000 to 768000"


# ---- ffmpeg


#: begins as an M4A and holds no picture
M4A = b"\0\0\0\x20ftypM4A " + bytes(900) + b"\0\0\0\x20hdlr" + bytes(8) + b"soun" + bytes(90)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the one folder on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def ffmpeg(folder: Path, body: str) -> None:
    """Put a program named ffmpeg there that runs `body`, with its arguments in `args`."""
    path = folder / "ffmpeg"
    path.write_text(f"#!{sys.executable} -S\nimport sys, os\nargs = sys.argv[1:]\n{body}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_without_ffmpeg_its_formats_are_refused_by_name(programs: Path) -> None:
    assert refusal(M4A) == (
        "the clip is M4A, which needs ffmpeg, and this worker's PATH has none; install it there, or convert the clip "
        "to FLAC or WAV"
    )


@pytest.mark.parametrize(
    ("data", "demuxer"),
    [
        (M4A, "mov"),
        (b"\x1a\x45\xdf\xa3" + bytes(200) + b"A_OPUS" + bytes(99), "matroska"),
        (b"\xff\xf1" + bytes(99), "aac"),
        (b"#!AMR\n" + bytes(99), "amr"),
        (b"wvpk" + bytes(99), "wv"),
    ],
)
def test_ffmpeg_is_told_the_format_and_given_the_very_bytes(programs: Path, data: bytes, demuxer: str) -> None:
    ffmpeg(
        programs,
        "assert args[args.index('-protocol_whitelist') + 1] == 'file'\n"
        "assert args.index('-f') < args.index('-i')\n"
        f"assert args[args.index('-f') + 1] == '{demuxer}', args\n"
        "given = open(args[args.index('-i') + 1].removeprefix('file:'), 'rb').read()\n"
        "import struct\n"
        "sys.stdout.buffer.write(struct.pack('<3f', 0.25, -0.5, len(given)))",
    )
    assert decode(data, "x").tolist() == [0.25, -0.5, len(data)]


def test_what_ffmpeg_says_is_passed_on(programs: Path) -> None:
    ffmpeg(programs, "print('first', file=sys.stderr); print('moov atom not found', file=sys.stderr); sys.exit(1)")
    assert refusal(M4A) == "ffmpeg can't read the clip: moov atom not found"


def test_ffmpeg_is_not_waited_for_for_ever(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "FFMPEG_SECONDS", 0.5)
    ffmpeg(programs, "import signal; signal.pause()")
    assert refusal(M4A) == "ffmpeg did not finish the clip within 0 s; convert it to FLAC"


def test_what_ffmpeg_writes_is_bounded_too(programs: Path) -> None:
    samples = (MAX_SECONDS + 1) * SAMPLE_RATE
    ffmpeg(programs, f"sys.stdout.buffer.write(bytes(4 * {samples}))")
    assert refusal(M4A).startswith("the clip is longer than 10 minutes")
