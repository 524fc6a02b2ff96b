"""What every page is made with: the templates that lie beside this module."""

from pathlib import Path

import jinja2


def templates() -> jinja2.Environment:
    """Return the templates of the pages; a value that a template misses is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
