"""Errors that say what is wrong, where it is and what to do about it."""

from __future__ import annotations

from os import PathLike


class StadError(ValueError):
    """Bad input, told in one sentence.

    problem: what is wrong, without the place
    file, video, tube, segment, frame: where it is, as far as known (tube, segment: the position in the
        video's list)
    remedy: what the user can do

    >>> str(StadError("the box is inverted", video="a", tube=0, frame=7, remedy="swap x1 and x2"))
    'video a, tube 0, frame 7: the box is inverted; swap x1 and x2'
    """

    def __init__(
        self,
        problem: str,
        *,
        file: str | PathLike[str] | None = None,
        video: str | None = None,
        tube: int | None = None,
        segment: int | None = None,
        frame: int | None = None,
        remedy: str | None = None,
    ) -> None:
        self.problem = problem
        self.file = None if file is None else str(file)
        self.video, self.tube, self.segment, self.frame = video, tube, segment, frame
        self.remedy = remedy
        super().__init__(problem)

    def __str__(self) -> str:
        places = [] if self.file is None else [self.file]
        for name in ("video", "tube", "segment", "frame"):
            value = getattr(self, name)
            if value is not None:
                places.append(f"{name} {value}")
        sentence = f"{', '.join(places)}: {self.problem}" if places else self.problem
        return f"{sentence}; {self.remedy}" if self.remedy else sentence

    def at(self, **place: str | int | PathLike[str] | None) -> StadError:
        """Return the same error with more of its place filled in (what is known already stays)."""
        for name, value in place.items():
            if getattr(self, name) is None and value is not None:
                setattr(self, name, str(value) if name == "file" else value)
        return self


class FormatError(StadError):
    """The file is not what its name or header says: wrong types, keys or version."""


class TruncatedFileError(StadError):
    """The file ends too early."""


class UnsafePickleError(StadError):
    """The pickle asks for something that is not plain data."""


class MissingFileError(StadError):
    """A file that is needed is not there."""


class MissingExtraError(StadError):
    """A package of an optional extra is not installed."""


class UnsignedBoxError(StadError):
    """Boxes in a small unsigned integer type, in which x + w wraps around."""


class InvertedBoxError(StadError):
    """A box whose right or lower edge does not lie beyond its left or upper one."""


class NotFiniteError(StadError):
    """A NaN or an infinity where a number is needed."""


class TubeTooLongError(StadError):
    """A tube with more boxes than its video has frames."""


class FrameRangeError(StadError):
    """A frame range that does not lie inside the video."""


class UnknownLabelError(StadError):
    """A label that is not among the classes."""


class UnknownVideoError(StadError):
    """A video that the other file or list does not know."""
