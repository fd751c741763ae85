"""Take pictures of a report: `python docs/screenshots.py REPORT.html FOLDER`, with Chromium or Chrome on PATH.

Writes PNGs at 400 and 1,600 px, light and dark, one in grey, and the PDF that a printer would get.
"""

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: of a view: width in px, colour scheme, CSS filter
VIEWS = {
    "narrow-light": (400, "light", "none"),
    "narrow-dark": (400, "dark", "none"),
    "wide-light": (1600, "light", "none"),
    "wide-dark": (1600, "dark", "none"),
    "wide-grey": (1600, "light", "grayscale(1)"),
}
# A window can't be made as narrow as a telephone, a frame in it can.
FRAME = """<!DOCTYPE html><html style="color-scheme: {scheme}"><body style="margin: 0">
<iframe src="{address}" style="border: 0; display: block; width: {width}px; height: {height}px; filter: {filter}">
</iframe>"""


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description="Take pictures of a report.")
    parser.add_argument("report", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--height", type=int, default=2400, help="of the pictures in px, from the page's top")
    parser.add_argument(
        "--at", default="", metavar="SECTION", help="begin at the section of this id: precisions, time ..."
    )
    parser.add_argument("--view", choices=list(VIEWS), action="append", help="only these")
    options = parser.parse_args()
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if browser is None:
        parser.error(f"none of {', '.join(NAMES)} is on PATH")
    options.folder.mkdir(parents=True, exist_ok=True)
    address = options.report.resolve().as_uri() + (f"#{options.at}" if options.at else "")
    for name in options.view or VIEWS:
        _take(browser, address, options.folder.resolve() / f"{name}.png", options.height, *VIEWS[name])
    if not options.view:
        _browse(browser, f"--print-to-pdf={options.folder.resolve() / 'paper.pdf'}", "--no-pdf-header-footer", address)


def _take(browser: str, address: str, picture: Path, height: int, width: int, scheme: str, filter: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        frame = Path(folder, "frame.html")
        frame.write_text(FRAME.format(scheme=scheme, address=address, width=width, height=height, filter=filter))
        dark = f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}"
        _browse(browser, dark, f"--screenshot={picture}", f"--window-size={width},{height}", frame.as_uri())
    # A page has few colours, and a history of pictures is not to weigh much.
    with Image.open(picture) as taken:
        taken.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(picture, optimize=True)


def _browse(browser: str, *arguments: str) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [browser, *QUIET, f"--user-data-dir={profile}", *arguments]
        subprocess.run(command, check=True, timeout=120, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
