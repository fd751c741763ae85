"""Makes docs/watch.svg from what goes on in this home: `python docs/watch.py` while jobs run."""

import asyncio
import re
from pathlib import Path

from db.engine import Database
from db.settings import load_settings
from report.live.app import Watch

SIZE = (110, 32)
#: until every panel has been filled
SECONDS = 3


async def picture() -> str:
    """Return the screen as SVG."""
    database = Database(load_settings()[0].database)
    app = Watch(database, check_redis=lambda: None)
    async with app.run_test(size=SIZE) as pilot:
        await asyncio.sleep(SECONDS)
        await pilot.pause()
        svg = app.export_screenshot(title="benchbeat watch")
    database.dispose()
    return svg


def main() -> None:
    """Write the picture."""
    # No font from elsewhere: the picture must look the same without a network.
    svg = asyncio.run(picture()).replace("Fira Code", "Menlo, Consolas, DejaVu Sans Mono")
    svg = re.sub(r"\s*<!--.*?-->", "", svg)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    Path(__file__).with_name("watch.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
