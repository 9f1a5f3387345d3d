"""A server on this machine that serves files well or badly, and remembers what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Shelf:
    """What the server serves.

    content: bytes by path
    breaks_after: bytes after which the connection drops, by path; None or absent for never
    says: length that the header claims, by path; the length of what is sent without it
    no_ranges: paths for which requests of a part get the whole
    asked: (path, Range header) of every request
    """

    content: dict[str, bytes] = field(default_factory=dict)
    breaks_after: dict[str, int] = field(default_factory=dict)
    says: dict[str, int] = field(default_factory=dict)
    no_ranges: set[str] = field(default_factory=set)
    wrong_range: set[str] = field(default_factory=set)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving() -> Iterator[Shelf]:
    """Serve a shelf for the time of a ``with`` block."""
    shelf = Shelf()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, wanted = self.path, self.headers.get("Range")
            shelf.asked.append((path, wanted))
            if path not in shelf.content:
                self.send_error(404)
                return
            body, start = shelf.content[path], 0
            if wanted and path not in shelf.no_ranges:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(body):
                    self.send_error(416)
                    return
                start = 0 if path in shelf.wrong_range else start
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            else:
                self.send_response(200)
            body = body[start:]
            self.send_header("Content-Length", str(shelf.says.get(path, len(body))))
            self.end_headers()
            self.wfile.write(body[: shelf.breaks_after.get(path, len(body))])
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing of clients that hang up: here they mean to."""

    server = Quiet(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    shelf.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield shelf
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
