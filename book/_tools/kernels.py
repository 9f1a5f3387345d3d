"""Kernels for the runner and the refresher, and a client that does not wait for ever.

Kernels talk through sockets in a folder of their own: TCP ports can be taken by another program.
Windows has no such sockets, so kernels take ports there.
Now and then the event loop misses that a message has come, and a client that waits without a limit
then waits for good; this one looks again every second.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty
from typing import Any

from jupyter_client.asynchronous import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel
from jupyter_client.manager import AsyncKernelManager
from traitlets import Type, default
from traitlets.config import Config

from stad_lite.data.workers import socket_place

LOOK_AGAIN = 1.0
"""Seconds."""


class PatientChannel(AsyncZMQSocketChannel):
    """A channel whose waiting is made of short waits."""

    async def get_msg(  # type: ignore[override]  # as its own base class does
        self, timeout: float | None = None
    ) -> dict[str, Any]:
        """Return the next message; Empty after ``timeout`` seconds (None: never)."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = LOOK_AGAIN if end is None else min(LOOK_AGAIN, max(end - time.monotonic(), 0.0))
            try:
                return await super().get_msg(left)
            except Empty:
                if end is not None and time.monotonic() >= end:
                    raise


class PatientClient(AsyncKernelClient):
    """A client with patient channels."""

    shell_channel_class = Type(PatientChannel)
    iopub_channel_class = Type(PatientChannel)
    control_channel_class = Type(PatientChannel)


class PatientManager(AsyncKernelManager):
    """Starts kernels whose clients look again."""

    @default("client_factory")
    def _patient_clients(self) -> type[AsyncKernelClient]:
        return PatientClient


@contextmanager
def socket_folder() -> Iterator[str]:
    """An empty folder for the sockets of a kernel, not below a TMPDIR that is too long for them."""
    with tempfile.TemporaryDirectory(dir=socket_place()) as folder:
        yield folder


def kernel_options(folder: str) -> dict[str, Any]:
    """Return what nbclient (and papermill, which hands it on) needs to start kernels this way.

    folder: an empty folder for the sockets
    """
    options: dict[str, Any] = {"kernel_name": "python3", "kernel_manager_class": PatientManager}
    if sys.platform == "win32":
        return options
    return {**options, "config": Config({"KernelManager": {"transport": "ipc", "ip": f"{folder}/kernel"}})}
