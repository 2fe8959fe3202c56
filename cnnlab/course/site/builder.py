"""Writes the site: a page of HTML for each page of the course, figures, styles and widgets."""

import json
import shutil
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, select_autoescape

from cnnlab.course.pages import pages_folder, read_pages
from cnnlab.course.site.markdown import highlight_styles, render_page
from cnnlab.storage.output_file import check_output_folder, output_file

_ASSETS = Path(__file__).parent / "assets"
# The widgets of each page: name, heading, scripts.
_LAYERS = "layers.js"
WIDGETS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "digits": ("digits", "Draw a digit, and shift it", ("networks.js", "digits.js")),
    "convolution": ("convolution", "Step through a convolution", (_LAYERS,)),
    "padding": ("padding", "Step through a padded convolution", (_LAYERS,)),
    "stride": ("output_size", "Compute an output size", (_LAYERS,)),
    "pooling": ("pooling", "Step through pooling", (_LAYERS,)),
    "receptive_field": ("receptive_field", "Explore receptive fields", (_LAYERS, "receptive.js")),
    "batch_norm": ("batch_norm", "Normalise a table", ("norms.js",)),
    "layer_norm": ("layer_norm", "Normalise a table", ("norms.js",)),
    "transposed_convolution": ("transposed", "Step through a transposed convolution", (_LAYERS,)),
}


def build_site(out: str | Path) -> list[Path]:
    """Builds the course as a static site from the kept figures and results.

    Args:
      out: folder to write to; existing files of the same names are replaced.

    Returns:
      The pages, `index.html` first.
    """
    out, source = check_output_folder(out), pages_folder()
    (out / "assets").mkdir(parents=True, exist_ok=True)
    shutil.copytree(source / "figures", out / "figures", dirs_exist_ok=True)
    for path in [*_ASSETS.glob("*.js"), *_ASSETS.glob("*.css")]:
        shutil.copy(path, out / "assets" / path.name)
    _write(out / "assets" / "highlight.css", highlight_styles())
    # A page that is opened as a file may not fetch others, so the weights are a script.
    networks = json.loads((source / "figures" / "feature_maps.json").read_text(encoding="utf-8"))
    script = f"window.NETWORKS = {json.dumps(networks)};\n"
    _write(out / "assets" / "networks.js", script)

    templates = Environment(
        loader=FileSystemLoader(_ASSETS), autoescape=select_autoescape(), trim_blocks=True
    )
    pages = read_pages()
    sections: dict[str, list] = {}
    for page in pages:
        sections.setdefault(page.section, []).append(page)
    index = out / "index.html"
    _write(index, templates.get_template("index.html").render(sections=sections, widgets=WIDGETS))
    written = [index]
    for before, page, after in zip([None, *pages], pages, [*pages[1:], None], strict=False):
        widget = WIDGETS.get(page.name)
        path = out / f"{page.name}.html"
        _write(
            path,
            templates.get_template("page.html").render(
                page=page,
                parts=render_page(page.text),
                widget=widget,
                before=before,
                after=after,
                sections=sections,
            ),
        )
        written.append(path)
    return written


def _write(path: Path, text: str) -> None:
    with output_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
