"""Markdown of the course to HTML: formulas as MathML, highlighted code, links between pages."""

import html
import re
from collections.abc import Sequence
from typing import Any

from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

_FORMATTER = HtmlFormatter(cssclass="code")


def highlight_styles() -> str:
    """Style sheet of highlighted code, for light and for dark."""
    light = HtmlFormatter(cssclass="code", style="default").get_style_defs(".code")
    dark = HtmlFormatter(cssclass="code", style="monokai").get_style_defs(".code")
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n"


def render_page(text: str) -> tuple[Markup, Markup]:
    """HTML of a page up to its measurements, where a widget has its place, and from there on."""
    first, heading, rest = text.partition("\n## Measured\n")
    return _render(first), _render(heading + rest)


def _render(text: str) -> Markup:
    markdown = MarkdownIt("commonmark", {"html": True}).enable("table")
    markdown.add_render_rule("fence", _fence)
    markdown.add_render_rule("image", _image)
    markdown.add_render_rule("table_open", lambda *_: '<div class="scroll"><table class="plain">')
    markdown.add_render_rule("table_close", lambda *_: "</table></div>")
    found = markdown.render(text)
    # Pages of the course are pages of the site; other documents are not part of it.
    found = re.sub(r'href="(\w+)\.md"', r'href="\1.html"', found)
    found = re.sub(r'<a href="\.\./[^"]+">(.*?)</a>', r"\1", found, flags=re.DOTALL)
    return Markup(found)


def _fence(renderer: Any, tokens: Sequence[Any], number: int, options: Any, env: Any) -> str:
    token = tokens[number]
    language = token.info.strip()
    if language == "math":
        latex = " ".join(token.content.split())
        return f'<div class="scroll">{convert(latex, display="block")}</div>'
    if language == "python":
        return highlight(token.content, PythonLexer(), _FORMATTER)
    kind = "output" if language == "text" else "command"
    return f'<pre class="{kind}">{html.escape(token.content)}</pre>'


def _image(renderer: Any, tokens: Sequence[Any], number: int, options: Any, env: Any) -> str:
    token = tokens[number]
    text, source = html.escape(token.content), html.escape(token.attrs["src"])
    # On a phone a wide figure is scrolled, since its labels could not be read if it were shrunk.
    image = f'<img src="{source}" alt="{text}" title="{text}" loading="lazy">'
    return f'<span class="scroll figure">{image}</span>'
