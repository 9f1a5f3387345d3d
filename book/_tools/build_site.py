"""Build the site into book/_build/html with every script served from the book itself.

    python book/_tools/build_site.py [--repository ADDRESS]

MathJax is unpacked from its npm package into book/_vendor/ (once; not committed), so that no page
asks another machine for anything. Warnings are errors. With the address of the repository each chapter gets
buttons that open it on Binder, on Colab and, with ``--hub``, on a JupyterHub.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import yaml

import launch
from notebooks import BOOK, ToolError, chapters
from stad_lite.records.exchange.text import write_text as write_whole

VENDOR = {
    "mathjax": ("mathjax@3.2.2", "es5", ("tex-svg.js", "input/tex/extensions")),
    "reveal": ("reveal.js@4.6.0", ".", ("dist/reveal.*", "dist/theme/white.css", "plugin/notes/notes.js")),
    "require": ("requirejs@2.3.7", ".", ("require.js",)),
    "jquery": ("jquery@3.7.1", "dist", ("jquery.min.js",)),
}
"""Folder -> npm package, the folder inside it, patterns of what is taken from there."""


def main(arguments: list[str] | None = None) -> int:
    """Build the site and return the exit code."""
    parser = argparse.ArgumentParser(description="Build the site; warnings are errors.")
    parser.add_argument("--repository", metavar="ADDRESS", help="of your copy: gives launch buttons")
    parser.add_argument("--branch", default="main", metavar="NAME", help="of the repository that is launched")
    parser.add_argument("--hub", default="", metavar="ADDRESS", help="of a JupyterHub with nbgitpuller")
    parser.add_argument("--book", type=Path, default=BOOK, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    book = options.book.absolute()
    try:
        more = launch.settings(options.repository, options.branch, options.hub) if options.repository else {}
        vendor("mathjax", book / "_vendor")
        code = build(book, more)
        if more:
            address = more["repository"]["url"]
            launch.write_for_colab(chapters(book), book / "_build" / "html", address, options.branch)
        return code
    except ToolError as error:
        print(error, file=sys.stderr)
        return 2


def vendor(folder: str, target: Path) -> None:
    """Unpack one npm package's scripts into ``target/folder`` unless they are there.

    raises: ToolError without npm or without the package
    """
    if (target / folder).is_dir():
        return
    package, inside, wanted = VENDOR[folder]
    npm = shutil.which("npm")
    if npm is None:
        raise ToolError(f"npm is missing, and {package} comes from it: apt-get install npm")
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target) as work:
        command = [npm, "pack", package, "--silent"]
        run = subprocess.run(command, cwd=work, capture_output=True, encoding="utf-8")
        archives = list(Path(work).glob("*.tgz"))
        if run.returncode or not archives:
            raise ToolError(f"npm pack {package} failed: {run.stderr.strip()}")
        with tarfile.open(archives[0]) as archive:
            archive.extractall(work, filter="data")
        root = Path(work, "package", inside)
        for source in [path for pattern in wanted for path in sorted(root.glob(pattern))]:
            place = Path(work, "out") / source.relative_to(root)
            place.parent.mkdir(parents=True, exist_ok=True)
            source.rename(place)
        Path(work, "out").rename(target / folder)


def build(book: Path, more: dict[str, Any] | None = None) -> int:
    """Run Jupyter Book with all warnings reported and counted as errors; return its exit code.

    more: settings besides those of ``_config.yml``
    """
    start = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", start, "build", str(book), "-n", "-W", "--keep-going", "-q"]
    if more:
        config = yaml.safe_load((book / "_config.yml").read_text("utf-8")) | more
        local = config["sphinx"]["local_extensions"]  # folders as seen from the file
        config["sphinx"]["local_extensions"] = {name: str(book / folder) for name, folder in local.items()}
        write_whole(book / "_build" / "config.yml", yaml.safe_dump(config))
        command += ["--config", str(book / "_build" / "config.yml")]
    env = {**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONUTF8": "1"}
    run = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
    if run.returncode:
        print(run.stdout, file=sys.stderr)
    print(f"{book / '_build' / 'html'}: {'with warnings' if run.returncode else 'built'}")
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
