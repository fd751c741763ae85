"""What mkdocs does besides: the reference is generated, and what lies outside of docs/ comes along.

mkdocs calls these functions by their names.
"""

import re
from collections.abc import Callable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from docs.reference.commands import commands_page
from docs.reference.settings import settings_page
from docs.reference.sweep_files import sweep_files_page
from docs.reference.views import views_page

ROOT = Path(__file__).resolve().parents[1]

#: generated page -> what makes it
PAGES: dict[str, Callable[[], str]] = {
    "reference/commands.md": commands_page,
    "reference/views.md": views_page,
    "reference/settings.md": settings_page,
    "reference/sweep-files.md": sweep_files_page,
}

_README = re.compile(r"\]\(\.\./README\.md(#[\w-]*)?\)")
_EXAMPLE = re.compile(r"\]\(\.\./(examples/[\w.-]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages and the examples that pages link to."""
    for name, page in PAGES.items():
        files.append(File.generated(config, name, content=page()))
    for path in sorted((ROOT / "examples").iterdir()):
        if path.is_file():
            files.append(File.generated(config, f"examples/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links that lead out of docs/ to what stands for them in the site."""
    return _EXAMPLE.sub(r"](\1)", _README.sub("](index.md)", markdown))
