"""Writing sweep files for tests."""

from pathlib import Path
from textwrap import dedent

from bench.library import Library, builtin_library
from bench.sweep import Sweep, read_sweep


def sweep_file(folder: Path, text: str) -> Path:
    """Write a sweep file, `s.toml`, with the text's indentation taken off."""
    file = folder / "s.toml"
    file.write_text(dedent(text), encoding="utf-8")
    return file


def read(folder: Path, text: str, library: Library | None = None, *, allow_large: bool = False) -> Sweep:
    """Expand the text of a sweep file."""
    return read_sweep(sweep_file(folder, text), library or builtin_library(), allow_large=allow_large)
