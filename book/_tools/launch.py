"""Buttons that open a chapter on Binder, on Colab or on a JupyterHub, once the book's address is known.

``build_site.py --repository ADDRESS`` hands Jupyter Book what it needs (``settings``). Binder and hubs build
the repository's environment.yml. Colab has no such step: its copies of the chapters, which lie in the site's
folder ``colab/``, begin with a cell that fetches the repository and installs it, and as a Sphinx extension
this points Colab's button at them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nbformat
from nbformat import NotebookNode

from normalise import write_text
from notebooks import Chapter, ToolError
from stad_lite.records.exchange.text import write_text as write_whole

BINDER, COLAB = "https://mybinder.org", "https://colab.research.google.com"
FOLDER, PAGES = "colab", "gh-pages"
"""Where the copies for Colab are in the site, and the branch that the site is published as."""
INSTALL = """\
# on Colab: fetch the book and install its library
!git clone -q --depth 1 --branch {branch} {repository} stad_lite
%pip install -q -e "./stad_lite[video,flow]"
import os, sys
os.chdir("stad_lite/book/{folder}")
sys.path.insert(0, os.path.abspath("../.."))"""


def settings(repository: str, branch: str, hub: str) -> dict[str, Any]:
    """Return what ``_config.yml`` needs for launch buttons.

    repository: its address, such as https://github.com/OWNER/NAME
    hub: address of a JupyterHub with nbgitpuller, or ""
    raises: ToolError for what is no address of a repository
    """
    parts = urlsplit(repository)
    if parts.scheme != "https" or parts.path.strip("/").count("/") < 1 or (hub and "://" not in hub):
        given = f"--repository {repository} --hub {hub}"
        raise ToolError(f"{given}: give addresses, as https://github.com/OWNER/NAME")
    buttons = {"notebook_interface": "jupyterlab", "binderhub_url": BINDER, "jupyterhub_url": hub}
    if parts.netloc == "github.com":  # Colab opens no other place
        buttons["colab_url"] = COLAB
    return {
        "repository": {"url": repository.rstrip("/"), "path_to_book": "book", "branch": branch},
        "launch_buttons": {name: address for name, address in buttons.items() if address},
    }


def for_colab(notebook: NotebookNode, name: str, repository: str, branch: str) -> NotebookNode:
    """Return a copy of a chapter that begins by installing what it needs."""
    notebook = nbformat.from_dict(notebook)
    folder = name.rpartition("/")[0]
    cell = nbformat.v4.new_code_cell(INSTALL.format(repository=repository, branch=branch, folder=folder))
    cell["id"] = "install"
    notebook.cells.insert(0, cell)
    return notebook


def write_for_colab(chapters: list[Chapter], site: Path, repository: str, branch: str) -> None:
    """Write all copies into the site."""
    for chapter in chapters:
        copy = for_colab(chapter.read(), chapter.name, repository, branch)
        write_whole(site / FOLDER / f"{chapter.name}.ipynb", write_text(copy))


def setup(app: Any) -> dict[str, bool]:
    """Point Colab's buttons at the copies, after the theme has made its buttons."""
    app.connect("html-page-context", _point, priority=900)
    return {"parallel_read_safe": True}


def _point(app: Any, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if button.get("text") == "Colab":
                start = button["url"].partition("/blob/")[0]
                button["url"] = f"{start}/blob/{PAGES}/{FOLDER}/{page}.ipynb"
