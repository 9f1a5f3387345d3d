"""Video files that are none: no other file is read, and memory is that of a few frames."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from stad_lite.data import video as video_files
from stad_lite.errors import FormatError, StadError
from stad_lite.plots.render import render_video
from stad_lite.records import Predictions, VideoPredictions

av = pytest.importorskip("av")

TEXTS = {
    "ffconcat": "ffconcat version 1.0\nfile secret.mp4\n",
    "ffconcat without its head": "# a\nffconcat version 1.0\nfile 'secret.mp4'\n",
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nsecret.mp4\n#EXT-X-ENDLIST\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
    "<BaseURL>secret.mp4</BaseURL></Period></MPD>",
    "text": "a\nb\n" * 100,
    "subtitles": "1\n00:00:01,000 --> 00:00:02,000\nhello\n",
    "svg": '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="secret.png"/></svg>',
}


def noise(count: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (count, 64, 64, 3)).astype(np.uint8)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("ending", [".mp4", ".avi", ".mkv", ".m3u8", ".txt"])
def test_no_text_makes_the_decoder_read_other_files(tmp_path: Path, name: str, ending: str) -> None:
    video_files.write(tmp_path / "secret.mp4", noise())
    path = tmp_path / f"clip{ending}"
    path.write_text(TEXTS[name], "utf-8")
    for read in (video_files.probe, video_files.read):
        with pytest.raises(StadError, match="is not a video that FFmpeg can read") as caught:
            read(path)
        assert caught.value.file == str(path)


def test_the_text_is_an_attack(tmp_path: Path) -> None:
    """Opened without care the other file is read, so that the test above can fail."""
    video_files.write(tmp_path / "secret.mp4", noise())
    (tmp_path / "clip.mp4").write_text(TEXTS["ffconcat"], "utf-8")
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 4


def test_names_that_look_like_protocols(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    video_files.write("a.mp4", noise())
    for name in ("concat:a.mp4", "subfile,,start,0,end,0,,:a.mp4", "pipe:0", "data:a"):
        try:
            Path(name).write_bytes(Path("a.mp4").read_bytes())
        except OSError:
            pytest.skip("no file may have a colon in its name here")
        assert video_files.probe(name).num_frames == 4


@pytest.mark.parametrize(
    ("ending", "format", "codec"),
    [
        (".avi", "avi", "mpeg4"), (".mkv", "matroska", "libx264"), (".webm", "webm", "libvpx"),
        (".mov", "mov", "libx264"), (".mpg", "mpeg", "mpeg2video"), (".flv", "flv", "flv"),
        (".wmv", "asf", "wmv2"), (".mxf", "mxf", "mpeg2video"), (".y4m", "yuv4mpegpipe", "rawvideo"),
    ],
)  # fmt: skip
def test_containers_are_opened(tmp_path: Path, ending: str, format: str, codec: str) -> None:
    path = tmp_path / f"a{ending}"
    with av.open(str(path), "w", format=format) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for image in noise():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    assert video_files.probe(path).num_frames == 4


def test_a_video_that_unfolds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = video_files.write(tmp_path / "a.mp4", np.zeros((20, 64, 64, 3), np.uint8))
    monkeypatch.setattr(video_files, "MOST_BYTES", 64 * 64 * 3 * 10)
    with pytest.raises(FormatError, match="read it in pieces"):
        video_files.read(path)
    assert sum(len(part) for part in video_files.batches(path, 8)) == 20
    monkeypatch.setattr(video_files, "MOST_PIXELS", 64 * 64 - 1)
    with pytest.raises(StadError, match=r"a\.mp4"):
        video_files.probe(path)


def test_rendering_holds_a_few_frames(tmp_path: Path) -> None:
    """What Python and numpy hold: what the decoder and the encoder hold hangs on their threads."""
    frame = np.zeros((256, 256, 3), np.uint8)
    peaks = []
    for count in (8, 64):
        path = video_files.write(tmp_path / f"{count}.mp4", (frame for _ in range(count)))
        tracemalloc.start()
        render_video(path, Predictions(("a",), {str(count): VideoPredictions()}), tmp_path / "b.mp4")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert frame.nbytes < peaks[0] and peaks[1] < peaks[0] + 4 * frame.nbytes
