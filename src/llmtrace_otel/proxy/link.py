"""This process's end of its proxy: starts it for the first child, tells it of each one, records the calls it has seen.

    admission = admit(context, environ)     # None: it cannot serve, which has been said
    admission.offer                         # what `environment.intercepted` makes the child's environment of
    admission.started(pid); admission.ended()

The proxy is not our child, so that a program which waits for all of its children does not wait for it; where we adopt
orphans, `adopted` tells which one is the proxy. It notices that we are gone by the end of the socket; it then records
by itself, and ends when nobody uses it any more.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import json
import os
import secrets
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.instrumentation.utils import suppress_instrumentation

from llmtrace_otel.output.carrier import carrier_of
from llmtrace_otel.output.notice import say
from llmtrace_otel.output.startup import OUTPUT
from llmtrace_otel.proxy import environment
from llmtrace_otel.proxy.messages import (
    Child,
    Ended,
    Failed,
    Gone,
    Inbox,
    Ready,
    Seen,
    Settings,
    Started,
    Sync,
    Synced,
    Taken,
    ToProxy,
    encode,
)
from llmtrace_otel.replay import RECORD, REPLAY
from llmtrace_otel.telemetry import content
from llmtrace_otel.wire.vendors import Registration

if TYPE_CHECKING:
    from llmtrace_otel.telemetry.spans import Recorder

Providers: TypeAlias = tuple[Any, ...]
NO_PROVIDERS: Final[Providers] = (None, None, None)
START_SECONDS: Final = 10.0
"""How long the proxy may take to be there; it takes a tenth of a second on an idle machine."""
DRAIN_SECONDS: Final = 2.0
SEND_SECONDS: Final = 1
LIFE_SECONDS: Final = 7 * 24 * 3600.0
"""After which new children get a new proxy: the CA of the old one will expire, and its directory be cleaned away."""
RELAY: Final = "LLMTRACE_RELAY"
_BOOT: Final = """
import json, os, sys
if os.fork():
    os._exit(0)
sys.path[:] = json.loads(sys.argv[1])
from llmtrace_otel.proxy.sidecar import main
main(int(sys.argv[2]))
"""


class Admission:
    """One child's leave to use the proxy. Nothing here raises."""

    def __init__(self, link: Link, offer: environment.Offer) -> None:
        self._link = link
        self.offer = offer

    def started(self, pid: int) -> None:
        """The child is there."""
        self._link.tell(Started(self.offer.id, pid))

    def ended(self) -> None:
        """The child is over, or was never started."""
        self._link.tell(Ended(self.offer.id))


class Link:
    """A running proxy. Making one starts it; raises OSError or RuntimeError when it cannot serve."""

    def __init__(self, registrations: list[Registration]) -> None:
        self.registrations = list(registrations)
        self._children: dict[str, tuple[Context, Providers]] = {}
        self._synced: dict[int, threading.Event] = {}
        self._numbers = itertools.count()
        self._recorders: dict[Providers, Recorder] = {}
        self._writing = threading.RLock()  # a signal handler or a finalizer may start and end children at any time
        self._inbox = Inbox(of_proxy=False)
        self.open = True
        self._why = ""
        self._until = time.monotonic() + LIFE_SECONDS
        self.hosts: dict[str, str] = {}
        """The hosts that children had connected to when it was last drained, and what became of that."""
        self._socket = _start(Settings(self.registrations, content.mode() is not content.Mode.NO_CONTENT))
        self._identity = _identity(self._socket.fileno())
        try:
            ready = self._first_word()
        except BaseException:
            self.close()
            raise
        self._port, self._directory, self.pid = ready.port, ready.directory, ready.pid
        threading.Thread(target=self._listen, name="llmtrace-proxy", daemon=True).start()

    @property
    def idle(self) -> bool:
        """Whether no child uses it."""
        return not self._children

    def serves(self, registrations: list[Registration]) -> bool:
        """Whether new children may use it, and these providers are opened."""
        return self.open and self.registrations == registrations and time.monotonic() < self._until

    def admit(
        self, context: Context, environ: Mapping[str, str], providers: Providers, executable: str
    ) -> Admission | None:
        """Lets a child in whose span is in `context`; `None` once the proxy is gone."""
        span = trace.get_current_span(context).get_span_context()
        child = f"{span.span_id or secrets.randbits(64):016x}"
        token = secrets.token_urlsafe(24)
        trust, only = environment.trust_of(environ)
        proxies = environment.proxies_of(environ)
        if not self.tell(Child(child, token, carrier_of(context), proxies, trust, only, executable)):
            return None
        self._children[child] = context, providers
        url = f"http://{child}:{token}@127.0.0.1:{self._port}"
        relay = os.environ.get(RELAY, "").strip().lower() in ("1", "true")
        return Admission(self, environment.Offer(url, child, token, self._directory, relay))

    def tell(self, message: ToProxy) -> bool:
        """Says something to the proxy; whether it could be said. A proxy that does not listen is left."""
        said = encode(message)
        try:
            with self._writing:
                if not self.open or not self._is_ours():
                    return False
                self._socket.sendall(said)
        except OSError:
            if self.open:
                say("the proxy for child programs does not answer; later children are started without it")
            self.close()
            return False
        return True

    def drain(self, seconds: float = DRAIN_SECONDS) -> bool:
        """Waits until the calls that the proxy has seen so far are recorded; whether it came to that."""
        number = next(self._numbers)
        self._synced[number] = threading.Event()
        try:
            return self.tell(Sync(number)) and self._synced[number].wait(seconds)
        finally:
            del self._synced[number]

    def close(self) -> None:
        """Lets go of the proxy, which then ends with the last child that uses it."""
        self.open = False
        if self._is_ours():
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()

    def forget(self) -> None:
        """In a forked child: the link is the parent's, and stays open there."""
        self.open = False
        if self._is_ours():
            self._socket.close()

    def _is_ours(self) -> bool:
        """Whether the descriptor is still that of the socket: a program may have closed it, and use it for a file."""
        try:
            is_ours = _identity(self._socket.fileno()) == self._identity
        except OSError:
            is_ours = False
        if not is_ours:
            self.open = False
            self._socket.detach()
        return is_ours

    def _first_word(self) -> Ready:
        self._socket.settimeout(START_SECONDS)
        while not (words := self._inbox.feed(_received(self._socket))):
            pass
        self._socket.settimeout(None)
        if isinstance(words[0], Failed):
            raise RuntimeError(words[0].reason)
        if not isinstance(words[0], Ready):
            raise RuntimeError("it does not speak as expected")
        return words[0]

    def _listen(self) -> None:
        with suppress(OSError, msgspec.DecodeError):
            while data := self._socket.recv(1 << 16):
                for message in self._inbox.feed(data):
                    self._take(message)
        if self.open:
            self.open = False
            say(f"the proxy for child programs has ended, and with it the connections of those that use it{self._why}")

    def _take(self, message: object) -> None:
        if isinstance(message, Synced):
            self.hosts = message.hosts
            if (waiting := self._synced.get(message.number)) is not None:
                waiting.set()
        elif isinstance(message, Failed):
            self._why = f": {message.reason}"
        elif isinstance(message, Gone):
            self._children.pop(message.child, None)
            if self in _outdated and not self._children:
                _outdated.remove(self)
                self.close()
        elif isinstance(message, Seen):
            with suppress(Exception):
                self._record(message)

    def _record(self, seen: Seen) -> None:
        try:
            from llmtrace_otel.proxy.recording import record
            from llmtrace_otel.telemetry.spans import Recorder

            context, providers = self._children.get(seen.child, (Context(), NO_PROVIDERS))
            if providers not in self._recorders:
                self._recorders[providers] = Recorder(*providers)
        finally:
            self.tell(
                Taken()
            )  # before: a program that is killed between the two has the call once at most, never twice
        record(self._recorders[providers], seen.call, context, seen.traceparent)


def _identity(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def _received(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 16)
    if not data:
        raise RuntimeError("it ended at once")
    return data


def _start(settings: Settings) -> socket.socket:
    """Starts the process, detached from this one but for a socket, over which it is told its settings."""
    ours, its = socket.socketpair()
    with its:
        try:
            with suppress_instrumentation():
                command = [_interpreter(), "-IS", "-c", _BOOT, json.dumps(_path()), str(its.fileno())]
                nowhere: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
                environ = _environ()
                code = subprocess.Popen(  # noqa: S603 - ourselves
                    command, pass_fds=[its.fileno()], start_new_session=True, env=environ, **nowhere
                ).wait(START_SECONDS)
            if code:
                raise RuntimeError(f"Python could not run it (exit code {code})")
            ours.sendall(encode(settings))
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_SECONDS, 0))
        except BaseException:
            ours.close()
            raise
    return ours


def _environ() -> dict[str, str]:
    """The program's, with files named so that they are the same ones from wherever the proxy is."""
    environ = dict(os.environ)
    environment.undo(environ)
    for name in (OUTPUT, RECORD, REPLAY):
        if environ.get(name):
            environ[name] = os.path.abspath(environ[name])
    with suppress(OSError):  # the directory may have been removed
        environ["PWD"] = os.getcwd()
    return environ


def _interpreter() -> str:
    """Raises RuntimeError where this Python is part of another program, which would be started once more."""
    name = os.path.basename(sys.executable or "")
    if getattr(sys, "frozen", False) or not name.startswith(("python", "pypy")):
        raise RuntimeError(f"there is no Python interpreter to run it with (sys.executable is {sys.executable!r})")
    return sys.executable


def _path() -> list[str]:
    """Where the proxy finds its modules: ours first, and no start-up hook of somebody else's."""
    import llmtrace_otel

    own = str(Path(llmtrace_otel.__file__).parent.parent)
    return [own, *(entry for entry in sys.path if entry and not entry.endswith("auto_instrumentation"))]


_link: Link | None = None
_failed_for: list[Registration] | None = None
_lock = threading.RLock()
_starting = False


def admit(
    context: Context, environ: Mapping[str, str], providers: Providers = NO_PROVIDERS, executable: str = ""
) -> Admission | None:
    """Lets a child use the proxy, which is started if it is not there; `None` when it cannot serve. Never raises.

    Args:
        context: In which the child's calls are recorded; the child's span is its current one.
        environ: What the child's environment would be without us.
        providers: Of traces, metrics and logs, with which its calls are recorded; the global ones where it has `None`.
        executable: What it runs, for what is to be remembered of such programs.
    """
    try:
        link = _running()
        return None if link is None else link.admit(context, environ, providers, executable)
    except Exception as error:
        _say_once(f"a child program's LLM calls cannot be seen: {error}")
        return None


@functools.lru_cache(maxsize=16)
def _say_once(message: str) -> None:
    say(message)


def drain(seconds: float = DRAIN_SECONDS) -> bool:
    """Waits until what the proxy has seen so far is recorded; at once where there is no proxy."""
    return _link is None or not _link.open or _link.drain(seconds)


def hosts() -> dict[str, str]:
    """The hosts that children had connected to through the proxy when it was last drained, and what became of that."""
    return {} if _link is None else _link.hosts


def _running() -> Link | None:
    global _link, _failed_for, _starting
    registrations = _registrations()
    with _lock:
        if _link is not None and _link.serves(registrations):
            return _link
        if _starting or _failed_for == registrations:  # by this very thread, which a signal has interrupted; or said
            return None
        _starting = True
        try:
            started = Link(registrations)
        except Exception as error:
            _failed_for = registrations
            say(f"the proxy for child programs cannot run, so their LLM calls are not seen: {error}")
            return None
        finally:
            _starting = False
        if _link is not None and _link.open:
            if _link.idle:
                _link.close()
            else:  # children of before keep theirs
                _outdated.append(_link)
        _link = started
        return _link


_outdated: list[Link] = []


def _registrations() -> list[Registration]:
    providers = sys.modules.get("llmtrace_otel.wire.providers")
    return list(providers.DEFAULT.registrations) if providers is not None else []


def _at_exit() -> None:
    for link in (*_outdated, _link):
        if link is not None and link.open:
            link.drain()
            link.close()


def adopted() -> int | None:
    """The process id of the proxy, if this process adopts orphans and so has become its parent."""
    return _link.pid if _link is not None and _link.open and _adopts_orphans() else None


@functools.cache
def _adopts_orphans() -> bool:
    """Whether this is the first process of its namespace, as in containers, or has asked to adopt (Linux)."""
    if os.getpid() == 1 or not sys.platform.startswith("linux"):
        return os.getpid() == 1
    import ctypes

    answer = ctypes.c_int(0)
    is_told = ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(answer), 0, 0, 0) == 0
    return is_told and answer.value != 0


_PR_GET_CHILD_SUBREAPER: Final = 37


def _after_fork_in_child() -> None:
    global _link, _lock, _starting
    _lock, _starting = threading.RLock(), False
    _adopts_orphans.cache_clear()
    for link in (*_outdated, _link):
        if link is not None:
            link.forget()
    _outdated.clear()
    _link = None


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
