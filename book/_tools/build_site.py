"""Build the site into book/_build/html with every script served from the book itself.

    python book/_tools/build_site.py [--book DIR]

MathJax is unpacked from its npm package into book/_vendor/ (once; not committed), so that no page
asks another machine for anything. Warnings are errors.
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

from notebooks import BOOK, ToolError

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
    parser.add_argument("--book", type=Path, default=BOOK, help=argparse.SUPPRESS)
    book = parser.parse_args(arguments).book.absolute()
    try:
        vendor("mathjax", book / "_vendor")
    except ToolError as error:
        print(error, file=sys.stderr)
        return 2
    return build(book)


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


def build(book: Path) -> int:
    """Run Jupyter Book with all warnings reported and counted as errors; return its exit code."""
    start = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", start, "build", str(book), "-n", "-W", "--keep-going", "-q"]
    env = {**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONUTF8": "1"}
    run = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
    if run.returncode:
        print(run.stdout, file=sys.stderr)
    print(f"{book / '_build' / 'html'}: {'with warnings' if run.returncode else 'built'}")
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
