"""Sphinx extension: a picture of a notebook gets the alternative text in its output's metadata.

MyST-NB takes width and height from there, and alternative text from the cell only: one for all its
pictures, written by hand.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from myst_nb.core.render import MimeData, NbElementRenderer


def setup(app: Any) -> dict[str, bool]:
    """Let the renderer of notebooks look for it."""
    render = NbElementRenderer.render_image

    def render_image(self: NbElementRenderer, data: MimeData) -> list[nodes.Element]:
        found: list[nodes.Element] = render(self, data)
        for image in found:
            image["alt"] = data.output_metadata.get(data.mime_type, {}).get("alt", "")
        return found

    NbElementRenderer.render_image = render_image
    return {"parallel_read_safe": True}
