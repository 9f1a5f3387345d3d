"""Pictures behind sliders that work on a page without a kernel: for each stop one is drawn beforehand."""

from __future__ import annotations

import base64
import io
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from stad_lite.errors import FormatError
from stad_lite.plots import style
from stad_lite.plots.describe import describe

MOST = 64
"""Pictures that one set of slides may hold: a page has to load them all."""

FEW = 4096
"""Colours of a drawing of lines; what shows a frame has more."""

MOVE = (
    "const d=this.closest('.stad-slides');let n=0;for(const s of d.querySelectorAll('input')){"
    "n=n*(+s.max+1)+ +s.value;s.nextElementSibling.textContent=s.dataset.stops.split('|')[s.value]}"
    "d.querySelectorAll('.stad-slide').forEach((e,i)=>e.style.display=i==n?'':'none')"
)
PLAY = (
    "const b=this,s=b.parentNode.querySelector('input');"
    "if(b.timer){clearInterval(b.timer);b.timer=0;b.textContent='Play'}else{b.textContent='Pause';"
    "b.timer=setInterval(()=>{s.value=(+s.value+1)%(+s.max+1);s.dispatchEvent(new Event('input'))},PAUSE)}"
)
"""What the sliders and the button do; without ids, so that a page is the same every time."""


@dataclass(frozen=True)
class Slide:
    """One stop.

    pictures: (content, what it shows) of each, as WebP
    text: what was printed
    """

    pictures: tuple[tuple[bytes, str], ...]
    text: str = ""


@dataclass(frozen=True)
class Slides:
    """Slides in the order of the dials' stops, the last dial fastest; a notebook and the site show them.

    dials: name -> what its stops are called
    start: number of the slide that is shown first
    fps: with it, the first dial plays
    below: HTML under the pictures
    raises: FormatError where there is not one slide for each combination of stops, or more than ``MOST``
    """

    slides: tuple[Slide, ...] = field(repr=False)
    dials: dict[str, tuple[str, ...]]
    start: int = 0
    fps: float = 0.0
    below: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        wanted = int(np.prod([len(stops) for stops in self.dials.values()]))
        if not 0 < wanted == len(self.slides) <= MOST:
            problem = f"{len(self.slides)} slides for {wanted} combinations of stops"
            raise FormatError(problem, remedy=f"give one for each, and not more than {MOST}")

    def _repr_html_(self) -> str:
        sizes = [len(stops) for stops in self.dials.values()]
        places = np.unravel_index(self.start, sizes)
        dials = "".join(
            _dial(name, stops, int(at)) for (name, stops), at in zip(self.dials.items(), places, strict=True)
        )
        if self.fps:
            play = PLAY.replace("PAUSE", str(round(1000 / self.fps)))
            dials = f'<button type="button" onclick="{play}">Play</button> {dials}'
        shown = "".join(_html(slide, n == self.start) for n, slide in enumerate(self.slides))
        return f'<div class="stad-slides">{shown}{self.below}<div>{dials}</div></div>'


def _dial(name: str, stops: Sequence[str], at: int) -> str:
    return (
        f'<label style="margin-right:1.5em">{escape(name)} '
        f'<input type="range" min="0" max="{len(stops) - 1}" value="{at}" aria-label="{escape(name)}" '
        f'data-stops="{escape("|".join(stops))}" style="vertical-align:middle" oninput="{escape(MOVE)}"> '
        f"<output>{escape(stops[at])}</output></label>"
    )


def _html(slide: Slide, shown: bool) -> str:
    pictures = "".join(
        f'<img style="max-width:100%" alt="{escape(told)}" '
        f'src="data:image/webp;base64,{base64.b64encode(content).decode()}">'
        for content, told in slide.pictures
    )
    text = f"<pre>{escape(slide.text.rstrip())}</pre>" if slide.text.strip() else ""
    hidden = "" if shown else ' style="display:none"'
    return f'<div class="stad-slide"{hidden}>{text}{pictures}</div>'


def stepped(draw: Callable[..., Any], start: int = 0, **dials: Any) -> Slides:
    """Draw what a dial shows at each of its stops: the static twin of ``interact(draw, ...)``.

    draw: makes figures with pyplot, and may print
    start: number of the combination that is shown first
    dials: arguments of ``draw``: a list is a dial with these stops, anything else stays as it is
    raises: FormatError for more than ``MOST`` combinations, or without a list
    """
    stops = {name: values for name, values in dials.items() if isinstance(values, list | tuple | range)}
    fixed = {name: value for name, value in dials.items() if name not in stops}
    count = int(np.prod([len(values) for values in stops.values()]))
    if not stops or not 0 < count <= MOST:
        raise FormatError(f"{count} pictures for dials {list(stops)}", remedy=f"give lists, {MOST} at most")
    turns = (dict(zip(stops, chosen, strict=True)) for chosen in itertools.product(*stops.values()))
    slides = tuple(_captured(draw, fixed, turn) for turn in turns)
    names = {name: tuple(_called(value) for value in values) for name, values in stops.items()}
    return Slides(slides, names, start)


def _called(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _captured(draw: Callable[..., Any], fixed: dict[str, Any], turn: dict[str, Any]) -> Slide:
    import matplotlib.pyplot as plt
    from IPython.utils.capture import capture_output

    plt.close("all")
    with capture_output() as caught:
        draw(**fixed, **turn)
    at = ", ".join(f"{name} {_called(value)}" for name, value in turn.items())
    pictures = []
    for output in caught.outputs:
        if content := output.data.get("image/png"):
            content = base64.b64decode(content) if isinstance(content, str) else content
            told = (output.metadata or {}).get("image/png", {}).get("alt", "")
            pictures.append((webp(content), f"At {at}: {told}"))
    for number in plt.get_fignums():  # where no notebook has shown them
        figure = plt.figure(number)
        pictures.append((webp(style.png(figure)), f"At {at}: {describe(figure)}"))
    plt.close("all")
    return Slide(tuple(pictures), caught.stdout)


def webp(picture: bytes | np.ndarray) -> bytes:
    """Return a PNG file, or (h, w, 3) uint8, as WebP: exact where that is small (lines), else nearly."""
    from PIL import Image

    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else Image.open(io.BytesIO(picture))
    image = image.convert("RGB")
    ways: list[dict[str, Any]] = [{"quality": 80}]
    if image.getcolors(FEW) is not None:  # of more the exact way is slow and never the smaller one
        ways.append({"lossless": True})
    files = []
    for options in ways:
        stream = io.BytesIO()
        image.save(stream, "WEBP", method=4, **options)
        files.append(stream.getvalue())
    return min(files, key=len)
