"""One of several processes that serve a home together; `workers.py` starts it and tells it what to do.

    python -m farthing.cli.worker CHANNEL SOCKET

Two open files come with the command line. The channel brings an `Order`, takes one byte back when we take calls, and
brings the word to leave. That is not said by a signal, because whoever stops a service may send one to all of its
processes, and a second signal means at once. Where a signal does have us leave, the channel takes a byte that says so,
and another takes our place while our answers end. The channel's end tells that who started us is gone: then we leave in
order, too, because nobody would look after our journal.

What surprised us: who started us may be of another version, because a worker is always of the program as it is
installed now. So an order has a version, and names the tables that the older workers write: where these are not ours,
we would bring them up to date under them, and do not start. Settings of another shape are read from the file instead.

    python -m farthing.cli.worker check VERSION TABLES

says whether a worker would start, before an old one is replaced for it.
"""

import asyncio
import hashlib
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from farthing import __version__
from farthing.app import Farthing
from farthing.cli.config_file import settings_to_serve
from farthing.cli.config_follow import following_settings
from farthing.cli.context import say
from farthing.cli.serve import loop_factory
from farthing.cli.serving import last_words, settle_memory
from farthing.cli.start_up import hear_signals, hold_signals, ignore_signals, no_core_dumps, prepare_process
from farthing.config.paths import Home
from farthing.config.schema import Settings
from farthing.config.watch import Stamp, stamp_of
from farthing.errors import ConfigError, FarthingError
from farthing.server.build import build_server
from farthing.storage.sqlite.database import shipped_migrations

CHECK = "check"
READY, LEAVING = b"r", b"g"
"""What a worker says: that it takes calls; that it leaves, and was not told to through the channel."""
LEAVE, AT_ONCE = b"l", b"n"
"""What it is told: to leave in order; to cut what is left."""
ORDER_VERSION = 1
"""Of `Order` and of these words; whoever changes one of them raises it."""
VERSION_BYTES, LENGTH_BYTES = 2, 4
"""These two come first in every version."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker serves; `seen` is the file of the settings, `told` what of `server` the command line decides.

    `tables` is the version of those in the store, and `shape` says of which kind the `settings` are.
    """

    home: str
    tables: int
    shape: str
    settings: bytes
    host: str
    port: int
    seen: Stamp | None
    told: list[str]
    index: int
    workers: int

    def encoded(self) -> bytes:
        """Return what goes through the channel."""
        data = msgspec.msgpack.encode(self)
        return ORDER_VERSION.to_bytes(VERSION_BYTES) + len(data).to_bytes(LENGTH_BYTES) + data


def read_order(channel: socket.socket) -> Order:
    """Wait for the order.

    Raises:
        EOFError: who started us is gone.
        ConfigError: who started us is of another version, and we cannot serve beside its workers.
    """
    version = int.from_bytes(_exactly(channel, VERSION_BYTES))
    data = _exactly(channel, int.from_bytes(_exactly(channel, LENGTH_BYTES)))
    if version != ORDER_VERSION:
        _refuse_other(version, 0)
    order = msgspec.msgpack.decode(data, type=Order)
    _refuse_other(version, order.tables)
    return order


def _refuse_other(version: int, tables: int) -> None:
    """Raise where a worker of this program cannot serve under a process that gives such orders, to such a store.

    Raises:
        ConfigError: it is so.
    """
    newest = len(shipped_migrations())
    if version != ORDER_VERSION:
        what = f"its workers take orders of version {ORDER_VERSION}, and get those of version {version}"
    elif tables != newest:
        what = f"its ledger has tables of version {newest}, and those of the running one have version {tables}"
    else:
        return
    raise ConfigError(
        f"Another program is installed now than the one that runs, and they cannot serve side by side: {what}.",
        hint="stop the gateway and start it again; until then the old one goes on.",
    )


def shape_of_settings() -> str:
    """Return what tells the settings of this program from those of one that has other fields, or another version."""
    schema = msgspec.json.encode(msgspec.json.schema(Settings), order="sorted")
    return f"{__version__} {hashlib.sha256(schema).hexdigest()}"


def _exactly(channel: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = channel.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


async def _serve(
    order: Order, settings: Settings, seen: Stamp | None, sock: socket.socket, channel: socket.socket
) -> None:
    loop = asyncio.get_running_loop()
    farthing = Farthing(settings, Home(Path(order.home)), environment=os.environ, workers=order.workers)
    told_to_leave = False
    await farthing.open()
    try:

        def ready() -> None:
            settle_memory()
            hear_signals()
            with suppress(OSError):  # who started us is gone: the channel's end, which is heard next, says so
                channel.send(READY)
            loop.add_reader(channel, spoken)

        def spoken() -> None:
            nonlocal told_to_leave
            told_to_leave = True
            try:
                word = channel.recv(len(LEAVE + AT_ONCE))
            except OSError:  # who started us is gone, and has not heard our own word
                word = b""
            if not word:
                loop.remove_reader(channel)
            live.force_exit = live.force_exit or AT_ONCE in word
            live.stop()

        def leaving() -> None:
            if not told_to_leave:
                with suppress(OSError):
                    channel.send(LEAVING)

        server = msgspec.structs.replace(settings.server, host=order.host, port=order.port)
        live = build_server(farthing, server, on_ready=ready, worker=order.index)
        live.on_leaving = leaving
        channel.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        async with following_settings(farthing, live, seen=seen, told=order.told, tell=lambda _: None):
            await live.serve(sockets=[sock])
            hold_signals()
        ignore_signals()
        loop.remove_reader(channel)
    finally:
        await farthing.close()
    if farthing.ledger.queued or farthing.ledger.spilled or farthing.ledger.in_flight:
        say(f"worker {order.index}: {last_words(farthing.ledger, str(farthing.home.journal))}")


def main() -> int:
    """Serve; return the exit status."""
    os.umask(0o077)
    if sys.argv[1] == CHECK:
        return _check(int(sys.argv[2]), int(sys.argv[3]))
    hold_signals()
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # to start anew is for who started us
    channel, sock = (socket.socket(fileno=int(number)) for number in sys.argv[1:3])
    with channel, sock:
        try:
            order = read_order(channel)
        except EOFError:
            return 1
        except ConfigError as error:
            say(f"a worker did not start: {error.message} hint: {error.hint}")
            return 1
        try:
            no_core_dumps()
            settings, seen = _settings(order)
            prepare_process(settings.log)
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(_serve(order, settings, seen, sock, channel))
        except FarthingError as error:
            say(f"worker {order.index}: {error.message}")
            return 1
    return 0


def _check(version: int, tables: int) -> int:
    try:
        _refuse_other(version, tables)
    except ConfigError as error:
        say(f"{error.message} hint: {error.hint}")
        return 1
    return 0


def _settings(order: Order) -> tuple[Settings, Stamp | None]:
    """Return the settings that were handed over, or what the file says where those are of another program's kind."""
    if order.shape == shape_of_settings():
        return msgspec.msgpack.decode(order.settings, type=Settings), order.seen
    home = Home(Path(order.home))
    seen = stamp_of(home.settings)
    return settings_to_serve(home), seen


if __name__ == "__main__":
    sys.exit(main())
