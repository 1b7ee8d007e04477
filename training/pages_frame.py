"""What the pages share: the frame of the template, the style, and how values become text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import jinja2

HERE = Path(__file__).parent


def render(
    template: str, *, styles: tuple[str, ...], filters: Mapping[str, Callable[..., str]], values: Mapping[str, object]
) -> str:
    """Return a page as HTML, without scripts and with nothing loaded from elsewhere.

    Args:
        template: File name in this folder; it extends pages_frame.html.
        styles: CSS files in this folder, in their order.
        filters: How values become text, by the filter's name.
        values: What the template shows; a name that is missing is an error.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters |= filters
    style = "".join((HERE / name).read_text(encoding="utf-8") for name in styles)
    return environment.get_template(template).render(style=style, **values)
