"""Fonts that hold what a label says: DejaVu Sans, and for other scripts what is installed."""

from __future__ import annotations

import functools
import warnings

FONT = "DejaVu Sans"
"""Comes with matplotlib: Latin, Greek, Cyrillic, Arabic and more, but no Chinese, Japanese or Korean."""


def fonts_for(text: str) -> tuple[str, list[str]]:
    """Return a text as it can be drawn and the fonts for it; letters that no font has stand as numbers.

    Once for each such letter a warning says which font would help.

    >>> fonts_for("run")
    ('run', ['DejaVu Sans'])
    """
    fonts, missing = [FONT], []
    for letter in dict.fromkeys(text):
        font = _font_of(letter)
        if font is None:
            missing.append(letter)
        elif font not in fonts:
            fonts.append(font)
    if missing:
        _tell("".join(missing))
    for letter in missing:
        text = text.replace(letter, f"\\u{ord(letter):04x}" if letter.isprintable() else " ")
    return text, fonts


@functools.lru_cache(maxsize=4096)
def _font_of(letter: str) -> str | None:
    """The first installed font that has a letter, None where none has it."""
    from matplotlib import font_manager

    if not letter.isprintable():
        return None
    entries = sorted(
        font_manager.fontManager.ttflist, key=lambda one: (one.name != FONT, one.name, one.fname)
    )
    for entry in entries:
        if ord(letter) in _letters(entry.fname):
            return str(entry.name)
    return None


@functools.cache
def _letters(file: str) -> frozenset[int]:
    from matplotlib import ft2font

    try:
        return frozenset(ft2font.FT2Font(file).get_charmap())
    except (OSError, RuntimeError):  # a font that was removed or cannot be read
        return frozenset()


@functools.lru_cache(maxsize=256)
def _tell(letters: str) -> None:
    warnings.warn(
        f"no installed font has {letters}, so labels show numbers; install one, such as Noto Sans CJK",
        stacklevel=3,
    )
