"""The notebooks are valid, hold all of each page's code, and run."""

import nbformat
import pytest
from nbclient import NotebookClient

from cnnlab.course.notebooks import build_notebooks, notebook
from cnnlab.course.pages import Code, pieces, read_pages
from tests.marks import exhaustive, slow

PAGES = {page.name: page for page in read_pages()}


def test_every_page_becomes_a_notebook(tmp_path):
    written = build_notebooks(tmp_path)
    assert [path.stem for path in written] == list(PAGES)
    for path in written:
        found = nbformat.read(path, as_version=4)
        nbformat.validate(found)
        code = [cell.source for cell in found.cells if cell.cell_type == "code"]
        blocks = [p for p in pieces(PAGES[path.stem].text) if isinstance(p, Code)]
        assert code == [block.source.rstrip("\n") for block in blocks]
        text = "\n".join(cell.source for cell in found.cells if cell.cell_type == "markdown")
        assert "```math" not in text and ".md)" not in text and "$$" in text
    assert (tmp_path / "figures" / "padding.png").is_file()


# Of each a kernel is started; `tests/test_docs.py` runs the code of all pages without Jupyter.
SOME = ("digits", "convolution", "resnet")


@pytest.mark.parametrize(
    "name",
    [slow(name) if name in SOME else exhaustive(name) for name in PAGES],
)
def test_notebook_runs_and_prints_what_the_page_shows(name, tmp_path):
    found = notebook(PAGES[name])
    NotebookClient(found, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    shown = [
        "".join(output.text for output in cell.outputs if output.get("name") == "stdout")
        for cell in found.cells
        if cell.cell_type == "code"
    ]
    blocks = [piece for piece in pieces(PAGES[name].text) if isinstance(piece, Code)]
    assert [text for text, block in zip(shown, blocks, strict=True) if block.output] == [
        block.output for block in blocks if block.output
    ]
