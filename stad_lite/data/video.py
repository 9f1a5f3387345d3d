"""Video files to arrays and back (PyAV): frames by index, exact counts, resizing while decoding.

Needs the extra ``video``. Frames are (t, h, w, 3) uint8 RGB; a size is (height, width) as in shapes.
Headers lie about how many frames there are (one of JHMDB's says 48 and holds 40), so frames are
counted by decoding.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from stad_lite.data import containers
from stad_lite.data.stamps import timing
from stad_lite.errors import (
    FormatError,
    FrameRangeError,
    MissingExtraError,
    MissingFileError,
    TruncatedFileError,
)
from stad_lite.tubes import Tube, cut_at

Size = tuple[int, int] | None
"""(height, width) in pixels; None keeps the file's own."""

TICK = Fraction(1, 90000)
"""Seconds in which times are written."""
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm,mpeg,mpegts,mpegvideo,flv,asf,ogg,nut,mxf,gif,m4v,h264,hevc,"
    "ivf,obu,dv,rm,gxf,yuv4mpegpipe,mjpeg,wtv,vc1,wav,mp3,flac,aac"
)
"""Formats that hold their pictures or sound themselves (FFmpeg's names)."""
PATIENCE = 60.0
"""Seconds for opening a file, and for reading any part of it."""
MOST_PIXELS = 1 << 26
"""Of a frame: 8192 x 8192."""
MOST_BYTES = 1 << 32
"""Of all frames that are read at once."""
LARGE = 1 << 22
"""Pixels of a frame beyond which the encoder looks ahead no more: it would keep some sixty frames."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds, counted and not believed.

    num_frames: frames that decode
    width, height: pixels of the upright frames
    fps: frames a second on average, None where the file does not say
    codec: name of the decoder that reads it
    decoder: library and version, since decoders differ by small amounts
    times: (num_frames + 1) seconds at which the frames begin and the last one ends; None where that is
        number / fps
    stated: frames a second as the header says
    damaged: numbers of the frames that the decoder marks as damaged
    file_end: second at which the whole file ends, sound included, None where its header does not say
    """

    num_frames: int
    width: int
    height: int
    fps: float | None
    codec: str
    decoder: str
    times: tuple[float, ...] | None = None
    stated: float | None = None
    damaged: tuple[int, ...] = ()
    file_end: float | None = None

    @property
    def end(self) -> float | None:
        """The second at which the last frame ends, None where the file says nothing of time."""
        if self.times is not None:
            return self.times[-1]
        return self.num_frames / self.fps if self.fps else None


def load_av() -> Any:
    """Return the module ``av``. raises: MissingExtraError"""
    try:
        import av
    except ImportError:
        raise MissingExtraError(
            "reading video needs PyAV", remedy='install the extra: pip install "stad_lite[video]"'
        ) from None
    av.logging.set_level(av.logging.PANIC)  # what matters is raised
    return av


def decoder_name() -> str:
    """Return library and version of the decoder, as cache manifests hold it."""
    av = load_av()
    return f"PyAV {av.__version__}, libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}"


def probe(path: str | PathLike[str]) -> VideoInfo:
    """Return size, times and the exact number of frames of a video (decodes all of it once).

    Times are those of a player, whose clock begins with the file's first stream.
    raises: MissingFileError, FormatError, TruncatedFileError
    """
    with _opened(path) as (container, stream):
        rate = float(stream.average_rate) if stream.average_rate else None
        codec = stream.codec_context.name
        stamps: list[float | None] = []
        damaged, frame = [], None
        for number, frame in enumerate(_decoded(container, stream, path)):
            stamps.append(None if frame.pts is None else frame.pts * float(stream.time_base))
            if frame.is_corrupt:
                damaged.append(number)
        begin = container.start_time / 1e6 if container.start_time is not None else stamps[0] or 0.0
        places = container.format.name == "avi"
        assert frame is not None  # no frames are an error of their own
        last = (frame.duration or 0) * float(stream.time_base)
        width, height = _upright_size(frame)
        file_end = container.duration / 1e6 if container.duration else None
    fps, times = timing([None if stamp is None else stamp - begin for stamp in stamps], last, rate, places)
    found = (times, rate, tuple(damaged), file_end)
    return VideoInfo(len(stamps), width, height, fps, codec, decoder_name(), *found)


def _upright_size(frame: Any) -> tuple[int, int]:
    """Width and height as shown."""
    exchanged = containers.turn(frame)[0]
    return (frame.height, frame.width) if exchanged else (frame.width, frame.height)


def read(
    path: str | PathLike[str],
    frames: Sequence[int] | np.ndarray | None = None,
    size: Size = None,
) -> np.ndarray:
    """Return frames of a video.

    frames: (n,) frame numbers from 0 in any order, repeats allowed; None for all of them
    size: (height, width) to scale to while decoding
    returns: (n, h, w, 3) uint8 RGB
    raises: MissingFileError, FormatError, TruncatedFileError, FrameRangeError
    """
    if frames is None:
        with _opened(path) as (container, stream):
            convert, images, held = _converter(size), [], 0
            for frame in _decoded(container, stream, path):
                images.append(convert(frame))
                held += images[-1].nbytes
                if held > MOST_BYTES:
                    raise FormatError(
                        f"the video has more than {MOST_BYTES >> 30} GiB of pictures", file=path,
                        remedy="read it in pieces or at a smaller size",
                    )  # fmt: skip
            return np.stack(images)
    wanted, inverse = np.unique(np.asarray(frames, dtype=np.int64), return_inverse=True)
    if not len(wanted):
        raise FormatError("no frames are asked for", file=path, remedy="give at least one frame number")
    if wanted[0] < 0:
        raise FrameRangeError("frames are counted from 0", file=path, frame=int(wanted[0]))
    found = _seek_frames(path, wanted, size)
    if found is None:
        found = _scan_frames(path, wanted, size)
    return found if np.array_equal(inverse, np.arange(len(found))) else found[inverse]


def batches(path: str | PathLike[str], count: int, size: Size = None) -> Iterator[np.ndarray]:
    """Yield a video in pieces of ``count`` frames (the last one shorter): memory stays bounded.

    yields: (<= count, h, w, 3) uint8 RGB
    raises: MissingFileError, FormatError, TruncatedFileError
    """
    with _opened(path) as (container, stream):
        convert, images = _converter(size), []
        for frame in _decoded(container, stream, path):
            images.append(convert(frame))
            if len(images) == count:
                yield np.stack(images)
                images = []
        if images:
            yield np.stack(images)


def write(
    path: str | PathLike[str],
    frames: Any,
    fps: float = 25.0,
    crf: int = 18,
    times: Sequence[float] | np.ndarray | None = None,
) -> Path:
    """Write frames as H.264 in an .mp4 file, whole or not at all.

    frames: (t, h, w, 3) uint8 RGB, or an iterable of (h, w, 3); an odd side grows by a repeated pixel
    crf: quality, 0 (largest file) to 51
    times: seconds at which the frames begin, where that is not number / fps
    raises: FormatError
    """
    from stad_lite.records import atomic_write

    av = load_av()

    def fill(sink: Any) -> None:
        with containers.Sink(sink) as told, av.open(told, "w", format="mp4") as container:
            stream = None
            for number, image in enumerate(frames):
                image = _even(image)
                if stream is None:
                    stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
                    stream.height, stream.width = image.shape[:2]
                    stream.pix_fmt = "yuv420p"
                    # x264's macroblock tree differs from run to run on small frames
                    stream.options = {"crf": str(crf), "threads": "1", "x264-params": "mbtree=0"}
                    if stream.height * stream.width > LARGE:
                        stream.options |= {"preset": "ultrafast"}
                    if times is not None:
                        stream.codec_context.time_base = TICK
                picture = av.VideoFrame.from_ndarray(image, format="rgb24")
                if times is not None:
                    picture.time_base, picture.pts = TICK, round((times[number] - times[0]) / TICK)
                container.mux(stream.encode(picture))
            if stream is None:
                raise FormatError("there are no frames to write", file=path)
            container.mux(stream.encode())

    return atomic_write(path, fill)


def _even(image: np.ndarray) -> np.ndarray:
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise FormatError(f"a frame is {image.dtype} {image.shape}", remedy="give (h, w, 3) uint8")
    padding = ((0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0))
    return np.ascontiguousarray(np.pad(image, padding, mode="edge"))


@contextmanager
def _opened(path: str | PathLike[str]) -> Iterator[tuple[Any, Any]]:
    """The container and its first video stream; FFmpeg's errors become the library's."""
    av, path = load_av(), Path(path)
    if not path.is_file():
        raise MissingFileError("there is no such video", file=path, remedy="check the path")
    if path.stat().st_size == 0:
        raise TruncatedFileError("the file is empty", file=path, remedy="copy the file again")
    containers.check_whole(path)
    try:
        # a playlist or script would make the decoder read other files, or ask the network
        options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
        container = av.open(f"file:{path}", options=options, timeout=PATIENCE)
    except av.error.FFmpegError as error:
        problem = f"the file is not a video that FFmpeg can read ({error.strerror})"
        raise FormatError(problem, file=path, remedy="check what kind of file it is") from None
    with container:
        stream = containers.pictures(container, path)
        stream.codec_context.thread_count = 1  # the same work, order and memory on any machine
        stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
        yield container, stream


def _decoded(container: Any, stream: Any, path: str | PathLike[str]) -> Iterator[Any]:
    """Every frame in the order of showing, from where the container stands."""
    av, first, number = load_av(), None, 0
    try:
        for packet in container.demux(stream):
            if packet.is_corrupt:
                raise TruncatedFileError(
                    "the data of a frame is cut off", file=path, frame=number, remedy="copy the file again"
                )
            for frame in packet.decode():
                first = first or (frame.width, frame.height)
                if (frame.width, frame.height) != first:
                    raise FormatError(
                        f"the size changes from {first[0]}x{first[1]} to {frame.width}x{frame.height}",
                        file=path, frame=number, remedy="write the video again with one size",
                    )  # fmt: skip
                yield frame
                number += 1
    except av.error.FFmpegError as error:
        raise TruncatedFileError(
            f"decoding fails ({error.strerror})", file=path, frame=number, remedy="copy the file again"
        ) from None
    if first is None:
        raise FormatError("the video has no frames", file=path, remedy="leave it out of the set")


def _converter(size: Size) -> Any:
    """A function from decoded frames to (h, w, 3) uint8 that sets up the scaler once.

    Area averaging where the frame shrinks, bilinear elsewhere. The scaler's direct way to packed RGB
    darkens by two grey levels, so scaled frames take the planar way, which is exact and no slower.
    """
    from av.video.reformatter import Interpolation as Way
    from av.video.reformatter import VideoReformatter

    scaler, packer = VideoReformatter(), VideoReformatter()
    exact = Way.ACCURATE_RND | Way.BITEXACT | Way.FULL_CHR_H_INT

    def convert(frame: Any) -> np.ndarray:
        how = containers.turn(frame)
        if size is not None:
            height, width = size[::-1] if how[0] else size  # before the turn
            if (height, width) != (frame.height, frame.width):
                shrinks = height <= frame.height and width <= frame.width
                way = (Way.AREA if shrinks else Way.BILINEAR) | exact
                frame = scaler.reformat(frame, width, height, "gbrp", interpolation=way, threads=1)
        packed = packer.reformat(frame, None, None, "rgb24", interpolation=Way.POINT, threads=1).to_ndarray()
        return containers.upright(packed, how) if any(how) else packed

    return convert


@functools.lru_cache(maxsize=4096)
def _timetable(path: str, _stamp: tuple[int, int]) -> tuple[np.ndarray, np.ndarray] | None:
    """Rising time stamps of all frames and which are key frames; None where packets do not tell.

    Only containers that store a time stamp a frame tell; packed B-frames in .avi do not.
    """
    with _opened(path) as (container, stream):
        if not {"mp4", "matroska"} & set(container.format.name.split(",")):
            return None
        packets = [p for p in container.demux(stream) if p.size and not p.is_discard]
        stamps = [packet.pts for packet in packets]
        if None in stamps or len(set(stamps)) != len(stamps) or not stamps:
            return None
        order = np.argsort(stamps)
        return np.asarray(stamps)[order], np.asarray([p.is_keyframe for p in packets])[order]


def _seek_frames(path: str | PathLike[str], wanted: np.ndarray, size: Size) -> np.ndarray | None:
    """Frames by way of the key frames before them; None where seeking does not land as it should."""
    target = Path(path)
    stat = target.stat() if target.is_file() else None
    table = _timetable(str(path), (stat.st_mtime_ns, stat.st_size) if stat else (0, 0))
    if table is None or wanted[-1] >= len(table[0]):
        return None
    stamps, keys = table
    before = np.maximum.accumulate(np.where(keys, np.arange(len(keys)), 0))  # key frame of every frame
    images: list[np.ndarray] = []
    with _opened(path) as (container, stream):
        convert, frames, at = _converter(size), None, -1
        for number in wanted:
            if frames is None or before[number] > at + 1:
                container.seek(int(stamps[before[number]]), stream=stream, backward=True)
                frames = _decoded(container, stream, path)
            for frame in frames:
                if frame.pts is None or frame.pts >= stamps[number]:
                    break
            else:
                return None
            if frame.pts != stamps[number]:
                return None
            at = int(number)
            images.append(convert(frame))
    return np.stack(images)


def _scan_frames(path: str | PathLike[str], wanted: np.ndarray, size: Size) -> np.ndarray:
    """Frames by decoding from the start."""
    images: list[np.ndarray] = []
    with _opened(path) as (container, stream):
        convert, count = _converter(size), 0
        for count, frame in enumerate(_decoded(container, stream, path), start=1):
            if count - 1 == wanted[len(images)]:
                images.append(convert(frame))
                if len(images) == len(wanted):
                    return np.stack(images)
    raise FrameRangeError(
        f"the video has {count} frames", file=path, frame=int(wanted[-1]), remedy="frames are counted from 0"
    )


def trim_tubes(
    tubes: Sequence[Tube], num_frames: int, allowed: int = 0, video: str | None = None
) -> tuple[tuple[Tube, ...], int]:
    """Return the tubes cut to the frames that decode, and how many boxes were dropped.

    num_frames: frames that decode
    allowed: boxes a tube may lose; more than that is an error. UCF101's Surfing clips lose one
    raises: FrameRangeError with the video and the tube

    >>> trim_tubes([Tube(2, np.array([[0., 0., 4., 4.]] * 3))], num_frames=4, allowed=1)[1]
    1
    """
    kept, dropped = [], 0
    for index, tube in enumerate(tubes):
        excess, cut = tube.end - num_frames, cut_at(tube, num_frames)
        if excess > allowed or cut is None:
            raise FrameRangeError(
                f"the tube ends with frame {tube.end - 1} but the video decodes to {num_frames} frames",
                video=video, tube=index, remedy="check that annotation and video belong together",
            )  # fmt: skip
        dropped += max(0, excess)
        kept.append(cut)
    return tuple(kept), dropped
