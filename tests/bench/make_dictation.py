"""Make the clips of the workload `dictation` from the texts in bench/data/dictation.jsonl.

    python tests/bench/make_dictation.py

The clips are kept in the project, so this is run only where a text is added or changed; espeak-ng must be on PATH
(apt install espeak-ng), and soundfile and soxr installed. A clip is 16 kHz mono FLAC of 16 bits. Voices and pace take
turns, so that no figure hangs on one voice. With another version of espeak-ng the clips come out otherwise, and the
workload's digest changes: the clips in the project were made with 1.51.
"""

import io
import json
import subprocess
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

DATA = Path(__file__).parents[2] / "bench" / "data"
RATE = 16_000
#: espeak-ng's voices and words a minute, which clips take in turns. English alone: of its other languages Whisper base
#: misses every second word, so that the figure would be the voice's
VOICES = ("en-gb", "en-us+f2")
PACES = (140, 130, 150)
#: loudest sample (a quiet clip takes fewer bytes), and what counts as silence at either end
PEAK, SILENCE = 0.3, 0.005
#: seconds of silence around the speech
MARGIN = 0.15


def spoken(text: str, voice: str, pace: int) -> NDArray[np.float32]:
    """Return a text as espeak-ng speaks it, at 16 kHz, with equal margins and loudness."""
    command = ["espeak-ng", "--stdout", "-v", voice, "-s", str(pace), text]
    done = subprocess.run(command, check=True, capture_output=True)
    samples, rate = soundfile.read(io.BytesIO(done.stdout), dtype="float32")
    samples = soxr.resample(samples, rate, RATE, quality="VHQ")
    loud = np.flatnonzero(np.abs(samples) > SILENCE)
    samples = np.pad(samples[loud[0] : loud[-1] + 1], round(MARGIN * RATE))
    return np.asarray(samples * (PEAK / np.abs(samples).max()), dtype=np.float32)


def main() -> None:
    """Write every clip of the workload."""
    (DATA / "dictation").mkdir(exist_ok=True)
    for place, line in enumerate((DATA / "dictation.jsonl").read_text(encoding="utf-8").splitlines()):
        item = json.loads(line)
        samples = spoken(item["answer"], VOICES[place % len(VOICES)], PACES[place % len(PACES)])
        soundfile.write(DATA / item["audio"], samples, RATE, format="FLAC", subtype="PCM_16", compression_level=1.0)


if __name__ == "__main__":
    main()
