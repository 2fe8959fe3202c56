"""The pages of the course: where they lie, their order, and the pieces of one."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_ENTRY = re.compile(
    r"^(?:\*\*(?P<section>.+)\*\*|\d+\. \[(?P<title>.+)\]\((?P<file>\w+\.md)\))$", re.M
)
_CODE = re.compile(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.S)
_FOOTER = re.compile(r"\n---\n\n(?:\[Previous|\[Contents).*\Z", re.S)


class Page(NamedTuple):
    """A page of the course.

    Attributes:
      path: of the Markdown file.
      title: as in the table of contents.
      section: the part of the course that the page belongs to.
      text: Markdown, without the links to the pages before and after.
    """

    path: Path
    title: str
    section: str
    text: str

    @property
    def name(self) -> str:
        return self.path.stem


class Code(NamedTuple):
    """A block of Python and what it prints, empty where the page does not show it."""

    source: str
    output: str


def pages_folder() -> Path:
    """The folder of the pages: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).parents[1]
    in_checkout = package.parent / "docs" / "course"
    return in_checkout if in_checkout.is_dir() else package / "course" / "docs"


def read_pages() -> list[Page]:
    """The pages in the order of the table of contents, README.md."""
    folder = pages_folder()
    pages, section = [], ""
    for entry in _ENTRY.finditer((folder / "README.md").read_text(encoding="utf-8")):
        if entry["section"]:
            section = entry["section"]
            continue
        path = folder / entry["file"]
        text = _FOOTER.sub("\n", path.read_text(encoding="utf-8"))
        pages.append(Page(path, entry["title"], section, text))
    return pages


def pieces(text: str) -> Iterator[str | Code]:
    """A page's Markdown, split into text and blocks of Python, in order."""
    start = 0
    for found in _CODE.finditer(text):
        if before := text[start : found.start()].strip("\n"):
            yield before
        yield Code(found[1], found[2] or "")
        start = found.end()
    if rest := text[start:].strip("\n"):
        yield rest
