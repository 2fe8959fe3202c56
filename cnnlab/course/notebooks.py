"""The pages of the course as Jupyter notebooks, one a page."""

import re
import shutil
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from cnnlab.course.pages import Code, Page, pages_folder, pieces, read_pages
from cnnlab.storage.output_file import check_output_folder, output_file


def build_notebooks(out: str | Path) -> list[Path]:
    """Writes all pages as notebooks, with their figures beside them.

    Args:
      out: folder to write to; existing files of the same names are replaced.

    Returns:
      The notebooks in the order of the course. Their cells have not been run.
    """
    out = check_output_folder(out)
    shutil.copytree(pages_folder() / "figures", out / "figures", dirs_exist_ok=True)
    written = []
    for page in read_pages():
        path = out / f"{page.name}.ipynb"
        with output_file(path) as temporary:
            nbformat.write(notebook(page), temporary)
        written.append(path)
    return written


def notebook(page: Page) -> nbformat.NotebookNode:
    """A page as a notebook: text and formulas in Markdown cells, code in code cells."""
    cells = []
    for number, piece in enumerate(pieces(page.text)):
        # Names that a rebuild leaves as they are, so that versions can be compared.
        name = f"{page.name}-{number}".replace("_", "-")
        if isinstance(piece, Code):
            cells.append(new_code_cell(piece.source.rstrip("\n"), id=name))
        else:
            cells.append(new_markdown_cell(_markdown(piece), id=name))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


def _markdown(text: str) -> str:
    text = re.sub(r"```math\n(.*?)```", r"$$\n\1$$", text, flags=re.S)
    text = re.sub(r"\]\((\w+)\.md\)", r"](\1.ipynb)", text)
    # Other documents are not beside the notebooks.
    return re.sub(r"\[([^]]+)\]\(\.\./[^)]+\)", r"\1", text)
