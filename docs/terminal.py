"""Makes docs/terminal.svg from what the command really prints: `python docs/terminal.py` after `make demo`."""

import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 112

COMMANDS = (
    "benchbeat history --batch 2",
    "benchbeat history --gain --batch 2",
    "benchbeat sql \"select strategy, text, score from answers where item_id = 'facts-001' limit 3\"",
    "benchbeat run --model smolm2-135m --workload facts",
)


def printed(command: str) -> str:
    """Run a command on a terminal of its own and return what it printed, colours included."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    arguments = [sys.executable, "-P", "-m", "cli.main", *shlex.split(command)[1:]]
    process = subprocess.Popen(arguments, stdin=child, stdout=child, stderr=child, env={**os.environ, "TERM": "xterm"})
    os.close(child)
    parts = []
    while True:
        try:
            part = os.read(parent, 4096)
        except OSError:  # the terminal's end, on Linux
            break
        if not part:
            break
        parts.append(part)
    process.wait()
    os.close(parent)
    return b"".join(parts).decode().replace("\r\n", "\n").rstrip()


def main() -> None:
    """Write the picture."""
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"))  # noqa: SIM115
    for command in COMMANDS:
        console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
        console.print(Text.from_ansi(printed(command)))
        console.print()
    # No font from elsewhere: the picture must look the same without a network.
    svg = console.export_svg(title="benchbeat").replace("Fira Code", "Menlo, Consolas, DejaVu Sans Mono")
    svg = re.sub(r"\s*<!--.*?-->", "", svg)
    start = svg.find("@font-face")
    while start >= 0:
        end = svg.index("}", start) + 1
        svg = svg[:start] + svg[end:]
        start = svg.find("@font-face")
    Path(__file__).with_name("terminal.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
