"""The pages' templates: report and study extend `base.html`, and share its style and scripts."""

from typing import Any

import jinja2


def page_template(name: str, **filters: Any) -> jinja2.Template:
    """A template of `cnnlab/report/templates` that escapes what it is given."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cnnlab.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment.get_template(name)
