"""Run the listener on its sockets until a signal, then leave in order.

uvicorn opens the sockets and keeps the loop; its own way of stopping would kill the process with the signal it got and
close streams without a word, so stopping is ours: no new connections, a while to finish, an error in the face's own
shape for what is left, and a normal end. A second signal ends at once.

Who starts anew stops in the same way, but keeps its sockets. A signal that comes meanwhile is the first one that asks
for the end: the sockets are closed, and the answers may still end for what is left of their time.
"""

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping

import uvicorn

from farthing.errors import ConfigError
from farthing.server.listener import Bounds, Listener, Receive, Scope, Send
from farthing.server.protocol import HttpProtocol

log = logging.getLogger(__name__)

_CUT_WAIT_S = 2.0
"""How long streams that are cut may take to say so and settle; both are a few microseconds of work each."""
_LOOK_S = 0.02
"""How often is looked whether the last answer is out; stopping takes as much longer."""
FIRST_INHERITED = 3
"""The descriptor that systemd puts the first socket at."""
_MOST_DIGITS, _MOST_TOLD = 6, 40
"""What of LISTEN_FDS is repeated: a process has at most a million open files; of anything else, the beginning."""
_BACKLOG = 2048
"""Connections that wait to be accepted: half of what we accept at all."""


def inherited_socket(environment: Mapping[str, str]) -> socket.socket | None:
    """Return the listening socket that we were started with, as systemd hands it over (LISTEN_FDS, LISTEN_PID).

    Raises:
        ConfigError: there are several, or it is not one that listens.
    """
    if environment.get("LISTEN_PID") != str(os.getpid()) or not environment.get("LISTEN_FDS"):
        return None  # none, or meant for the process that started us
    hint = "give the unit one ListenStream= with the address and port, or none."
    count = environment["LISTEN_FDS"]
    if count != "1":
        told = count if count.isdecimal() and len(count) <= _MOST_DIGITS else repr(count[:_MOST_TOLD])
        raise ConfigError(f"{told} sockets were handed over (LISTEN_FDS), and one is used", hint=hint)
    try:
        sock = socket.socket(fileno=FIRST_INHERITED)
        listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise ConfigError(f"the socket handed over (LISTEN_FDS) cannot be used: {error.strerror}", hint=hint) from None
    if not listens or sock.family not in (socket.AF_INET, socket.AF_INET6):
        raise ConfigError("the socket handed over (LISTEN_FDS) does not listen for TCP connections", hint=hint)
    sock.set_inheritable(False)
    sock.setblocking(False)  # noqa: FBT003 - the socket module's own signature
    return sock


def is_address_of(host: str, address: str) -> bool:
    """Whether a host, by name or number, has that address."""
    try:
        return any(found[4][0] == address for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
    except OSError:
        return False


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        ConfigError: the port is taken, not ours to take, or the host is no address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        hint = 'choose another one: server.port in settings.yaml, or --port (make serve ARGS="--port 3001")'
        if error.errno == errno.EADDRINUSE:
            told = f'{hint}. "farthing doctor" says which program has it'
            raise ConfigError(f"port {port} on {host} is taken by another program", hint=told) from None
        if error.errno == errno.EACCES:
            raise ConfigError(f"port {port} needs more rights than this account has", hint=hint) from None
        raise ConfigError(
            f"cannot listen on '{host}' port {port}: {error.strerror or error}",
            hint="choose another address: server.host in settings.yaml, or --host",
        ) from None
    sock.setblocking(False)  # noqa: FBT003 - the socket module's own signature
    return sock


async def _nothing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Stand where uvicorn wants an application; our protocol answers by itself and hands it nothing."""
    raise AssertionError("uvicorn's own application was called")


class LiveServer(uvicorn.Server):
    """A uvicorn server that ends as described above."""

    def __init__(self, listener: Listener, drain_s: float, on_ready: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()

        def new_protocol(**_: object) -> HttpProtocol:
            return HttpProtocol(listener, loop)

        super().__init__(
            uvicorn.Config(
                _nothing,
                http=new_protocol,  # type: ignore[arg-type]  # any callable that returns a protocol
                ws="none",
                lifespan="off",
                loop="none",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
            )
        )
        self._loop = loop
        self._listener = listener
        self._drain_s = drain_s
        self._on_ready = on_ready
        self._keeps_sockets = False
        self._signalled = False
        """Whether a signal asked for the end: told in another way (to start anew, to a worker) it is the first one."""
        self.on_leaving: Callable[[], None] = lambda: None
        """Is called when it stops to accept, whoever asked for that."""
        self.kept: list[socket.socket] = []
        """The sockets, for who starts anew; empty where the end was asked for, before that or meanwhile."""

    def stop(self, *, keeping_sockets: bool = False) -> None:
        """Leave in order, as a signal does; where the sockets are kept, who connects meanwhile waits in their queue.

        Whoever asks for the end gets it, also where it is asked for while the sockets are kept.
        """
        if keeping_sockets and not self.should_exit:
            self._keeps_sockets = True
        elif not keeping_sockets and self._keeps_sockets:
            self._keeps_sockets = False
            self._drop_kept()
            told = "the end was asked for while answers ended for a restart: the process does not start anew"
            self._loop.call_soon_threadsafe(log.warning, told)  # we may be inside of a signal's handler
        self.should_exit = True

    def retune(self, bounds: Bounds, drain_s: float) -> None:
        """Hold to other bounds from now on; a request that has begun may still be measured by both."""
        self._listener.bounds = bounds
        self._drain_s = drain_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the sockets, then say so."""
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, let answers end, cut what is left."""
        listener = self._listener
        self.on_leaving()
        if self._keeps_sockets:
            self.kept = [sock.dup() for sock in sockets or ()]
        for server in self.servers:
            server.close()
        for sock in sockets or ():
            sock.close()
        listener.drain()
        if listener.exchanges:
            log.warning(
                "stopping: %d answers in flight may end for %s s; %s",
                len(listener.exchanges),
                self._drain_s,
                "then we start anew" if self._keeps_sockets else "a second signal cuts them",
            )
        began_s = self._loop.time()
        await self._until_idle(self._drain_s)
        if listener.exchanges:
            log.warning(
                "%d calls were still in flight after %.1f s%s and are cut",
                len(listener.exchanges),
                self._loop.time() - began_s,
                ", when we were told to end at once," if self.force_exit else "",
            )
            listener.cut()
            await self._until_idle(_CUT_WAIT_S, even_if_forced=True)
        listener.close()
        if not self._keeps_sockets:  # the end may have been asked for just when they were kept
            self._drop_kept()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGTERM and SIGINT; unlike uvicorn's, this does not raise them again at the end, so we exit with 0."""
        handled = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self._on_signal) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: object) -> None:  # noqa: ARG002 - the signal module's signature
        if self._signalled:
            self.force_exit = True
        self._signalled = True
        self.stop()

    def _drop_kept(self) -> None:
        for sock in self.kept:
            sock.close()
        self.kept.clear()

    async def _until_idle(self, seconds: float, *, even_if_forced: bool = False) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while not self._listener.idle and loop.time() < until and (even_if_forced or not self.force_exit):  # noqa: ASYNC110 - a second signal ends it, too
            await asyncio.sleep(_LOOK_S)
