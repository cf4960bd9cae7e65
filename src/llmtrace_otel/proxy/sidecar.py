"""The proxy's process: listens for children, obeys the program that started it, outlives it for children that do.

It is ready as soon as it has a CA and a port; what reads calls is imported after that, and OpenTelemetry only once the
program is gone and this process has to record by itself, as the same environment variables ask.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import tempfile
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmtrace_otel.proxy.authority import Authority
from llmtrace_otel.proxy.credentials import Credentials
from llmtrace_otel.proxy.holders import holders
from llmtrace_otel.proxy.hosts import permitted
from llmtrace_otel.proxy.messages import (
    Child,
    Ended,
    Failed,
    FromProxy,
    Gone,
    Inbox,
    Ready,
    Seen,
    Settings,
    Started,
    Sync,
    Synced,
    Taken,
    encode,
)

if TYPE_CHECKING:
    from llmtrace_otel.proxy.orphan import Orphan
    from llmtrace_otel.proxy.server import Server
    from llmtrace_otel.wire.call import Call

LOOK_SECONDS: Final = 2.0
"""How often it is looked whether anybody still has the credentials of a child that is over."""
EXEC_SECONDS: Final = 0.05
"""How long a process that is becoming another program may seem to have no environment."""
FINISH_SECONDS: Final = 1.0
"""How long the connections of a child that is over may take to end."""
LINGER_SECONDS: Final = 5.0
"""How long the proxy stays when the program is gone and nobody seems to use it."""


def main(descriptor: int) -> None:
    """Runs the proxy; `descriptor` is the socket to the program that started it."""
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGTERM):  # a child may yet have a last word
        signal.signal(ignored, signal.SIG_IGN)
    _take_all_descriptors()
    os.chdir("/")
    control = socket.socket(fileno=descriptor)
    control.set_inheritable(False)
    inbox = Inbox(of_proxy=True)
    settings, *others = _first_words(control, inbox)
    assert isinstance(settings, Settings)
    directory = tempfile.mkdtemp(prefix="llmtrace-")
    try:
        os.chmod(directory, 0o711)  # noqa: S103 - a child that is another user's reads the certificates, too
        names = permitted(settings.registrations)
        authority = Authority(names)
        certificate = Path(directory, "ca.pem")
        certificate.write_bytes(authority.pem)
        certificate.chmod(0o644)
        listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    except Exception as error:
        control.sendall(encode(Failed(str(error) or repr(error))))
        shutil.rmtree(directory, ignore_errors=True)
        return
    try:
        control.sendall(encode(Ready(listener.getsockname()[1], directory, os.getpid())))
        sidecar = Sidecar(control, inbox, settings)
        asyncio.run(sidecar.run(listener, authority, frozenset(names), others))
    except Exception as error:
        with suppress(OSError):  # the program may be gone
            control.sendall(encode(Failed(repr(error))))
    shutil.rmtree(directory, ignore_errors=True)


def _take_all_descriptors() -> None:
    """All children's connections are open here, two descriptors each."""
    import resource

    with suppress(ValueError, OSError):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _first_words(control: socket.socket, inbox: Inbox) -> list[object]:
    words: list[object] = []
    while not words:
        data = control.recv(1 << 16)
        if not data:
            raise SystemExit(0)  # the program has thought better of it
        words += inbox.feed(data)
    return words


class Sidecar:
    """What the proxy knows of the program and of its children."""

    def __init__(self, control: socket.socket, inbox: Inbox, settings: Settings) -> None:
        self._control = control
        self._inbox = inbox
        self._settings = settings
        self._credentials = Credentials()
        self._children: dict[str, Child] = {}
        self._pids: dict[str, int] = {}
        self._over: set[str] = set()
        self._unsaid: deque[FromProxy] = deque()
        self._untaken: deque[Seen] = deque()
        """Calls that the program has been told of, and has not yet recorded."""
        self._has_something_to_say = asyncio.Event()
        self._alone = False
        """Whether the program is gone."""
        self._unrecorded: list[tuple[Child, Seen]] = []
        """What is recorded as soon as there is an orphan to do so."""
        self._orphan: Orphan | None = None
        self._server: Server | None = None
        self._finishing: set[asyncio.Task[None]] = set()
        self._syncing: set[asyncio.Task[None]] = set()

    async def run(
        self, listener: socket.socket, authority: Authority, names: frozenset[str], heard: list[object]
    ) -> None:
        """Serves until the program is gone and nobody uses the proxy any more; `heard` is what it has said already."""
        from llmtrace_otel.proxy.server import Server
        from llmtrace_otel.wire.providers import DEFAULT

        for registration in self._settings.registrations:
            DEFAULT.register_provider(*registration[:3], wire_format=registration.wire_format)
        self._control.setblocking(False)
        self._server = server = Server(
            authority=authority,
            permitted=names,
            credentials=self._credentials,
            seen=self.seen,
            providers=DEFAULT,
            capture=self._settings.capture,
            refresh=self._read_what_is_there,
        )
        for message in heard:
            self.take(message)
        serving = asyncio.create_task(server.serve(listener))
        looking = asyncio.create_task(self._look())
        talking = asyncio.create_task(self._talk())
        try:
            await self._obey()
            await self._orphaned()
        finally:
            for task in (serving, looking, talking):
                task.cancel()
            server.close()
            if self._orphan is not None:
                self._orphan.close()

    def seen(self, child: str, call: Call, traceparent: str | None) -> None:
        """A call is over."""
        message = Seen(child, call, traceparent)
        if not self._alone:
            self._say(message)
        elif child in self._children:
            if self._orphan is None:
                self._unrecorded.append((self._children[child], message))
            else:
                self._orphan.record(self._children[child], message)

    def take(self, message: object) -> None:
        """Something that the program has said."""
        match message:
            case Child():
                self._children[message.id] = message
                self._credentials.add(message)
            case Started():
                self._pids[message.id] = message.pid
            case Ended():
                self._over.add(message.id)
                self._soon(self._finish(message.id), self._finishing)
            case Taken():
                self._untaken.popleft()
            case Sync():
                self._soon(self._sync(message.number), self._syncing)

    # The program

    def _soon(self, work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> None:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _sync(self, number: int) -> None:
        await asyncio.gather(*self._finishing)
        self._say(Synced(number, {} if self._server is None else self._server.hosts))

    async def _finish(self, child: str) -> None:
        """Tells of what was held of a child that is over: nobody repeats it now."""
        if self._server is not None:
            await self._server.finished(child, FINISH_SECONDS)

    async def _obey(self) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            while data := await loop.sock_recv(self._control, 1 << 16):
                self._feed(data)

    async def _read_what_is_there(self) -> None:
        """Reads what the program has said and nobody has read yet: a child is announced before it is started."""
        with suppress(BlockingIOError, OSError):
            while data := self._control.recv(1 << 16):
                self._feed(data)

    def _feed(self, data: bytes) -> None:
        for message in self._inbox.feed(data):
            self.take(message)

    def _say(self, message: FromProxy) -> None:
        self._unsaid.append(message)
        self._has_something_to_say.set()

    async def _talk(self) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            while await self._has_something_to_say.wait():
                self._has_something_to_say.clear()
                while self._unsaid:
                    message = self._unsaid.popleft()
                    if isinstance(message, Seen):
                        self._untaken.append(message)
                    await loop.sock_sendall(self._control, encode(message))

    # The children

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self._let_go_of_ended()

    async def _let_go_of_ended(self) -> None:
        if not self._over:
            return
        unused = self._over - await self._users(self._over)
        await asyncio.sleep(EXEC_SECONDS)
        for child in unused - await self._users(unused):
            self._over.discard(child)
            self._pids.pop(child, None)
            self._credentials.remove(child)
            if self._server is not None:
                self._server.let_go(child)
            if self._children.pop(child, None) is not None:
                self._say(Gone(child))

    async def _users(self, children: set[str]) -> set[str]:
        """Of these children, those that somebody is."""
        tokens = {child: self._children[child].token for child in children if child in self._children}
        busy = self._server.busy() if self._server is not None else set()
        try:
            return await asyncio.to_thread(holders, tokens, dict(self._pids)) | (busy & children)
        except OSError:  # out of descriptors: nobody can be ruled out
            return set(children)

    async def _orphaned(self) -> None:
        """The program is gone. Its children are not to notice."""
        self._alone = True
        told = [message for message in (*self._untaken, *self._unsaid) if isinstance(message, Seen)]
        self._unrecorded = [(self._children[seen.child], seen) for seen in told if seen.child in self._children]
        await self._let_go_of_ended()
        if not self._children and not self._unrecorded:
            return
        from llmtrace_otel.proxy.orphan import Orphan

        self._orphan = await asyncio.to_thread(Orphan)
        for child, message in self._unrecorded:
            self._orphan.record(child, message)
        idle = 0.0
        while idle < LINGER_SECONDS:
            await asyncio.sleep(LOOK_SECONDS / 2)
            idle = 0.0 if await self._users(set(self._children)) else idle + LOOK_SECONDS / 2
