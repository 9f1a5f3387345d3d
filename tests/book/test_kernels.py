"""The client looks again where the event loop has missed a message."""

import asyncio
from queue import Empty

import pytest

import kernels


class Socket:
    """A socket whose first polls miss the message that is there."""

    def __init__(self, missed: float) -> None:
        self.missed, self.waits = missed, []

    async def poll(self, milliseconds: int | None) -> int:
        self.waits.append(milliseconds)
        if milliseconds is None:
            raise AssertionError("a wait without a limit")
        await asyncio.sleep(milliseconds / 1000 if self.missed else 0)
        self.missed -= 1
        return int(self.missed < 0)


class Channel(kernels.PatientChannel):
    def __init__(self, socket: Socket) -> None:
        self.socket = socket

    async def _recv(self, **kwargs: object) -> dict[str, str]:
        return {"content": "here"}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "LOOK_AGAIN", 0.01)


def test_a_missed_message_is_found_at_the_next_look() -> None:
    socket = Socket(missed=3)
    assert asyncio.run(Channel(socket).get_msg()) == {"content": "here"}
    assert socket.waits == [10, 10, 10, 10]


def test_a_limit_is_kept() -> None:
    with pytest.raises(Empty):
        asyncio.run(Channel(Socket(missed=10**9)).get_msg(timeout=0.05))


@pytest.mark.parametrize(("platform", "transport"), [("linux", "ipc"), ("darwin", "ipc"), ("win32", "tcp")])
def test_kernels_get_the_patient_client(platform, transport, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(kernels.sys, "platform", platform)
    options = kernels.kernel_options(str(tmp_path))
    manager = options["kernel_manager_class"](config=options.get("config"))
    client = manager.client_factory()
    assert isinstance(client, kernels.PatientClient) and manager.transport == transport
    assert client.shell_channel_class is client.iopub_channel_class is kernels.PatientChannel
