"""One of several processes that serve a home together; `workers.py` starts it and tells it what to do.

    python -m farthing.cli.worker CHANNEL SOCKET

Two open files come with the command line. The channel brings an `Order`, takes one byte back when we take calls, and
brings the word to leave. That is not said by a signal, because whoever stops a service may send one to all of its
processes, and a second signal means at once. The channel's end tells that who started us is gone: then we leave in
order, too, because nobody would look after our journal.
"""

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from farthing.app import Farthing
from farthing.cli.config_follow import following_settings
from farthing.cli.context import say
from farthing.cli.serve import loop_factory
from farthing.cli.serving import last_words, settle_memory
from farthing.cli.start_up import hear_signals, hold_signals, ignore_signals, prepare_process
from farthing.config.paths import Home
from farthing.config.schema import ServerSettings, Settings
from farthing.config.watch import Stamp
from farthing.errors import FarthingError
from farthing.server.build import build_server

READY, LEAVE, AT_ONCE = b"r", b"l", b"n"
LENGTH_BYTES = 4


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker serves; `seen` is the file of the settings, `told` what of `server` the command line decides."""

    home: str
    settings: Settings
    server: ServerSettings
    seen: Stamp | None
    told: list[str]
    index: int
    workers: int

    def encoded(self) -> bytes:
        """Return what goes through the channel."""
        data = msgspec.msgpack.encode(self)
        return len(data).to_bytes(LENGTH_BYTES) + data


def read_order(channel: socket.socket) -> Order:
    """Wait for the order.

    Raises:
        EOFError: who started us is gone.
    """
    length = int.from_bytes(_exactly(channel, LENGTH_BYTES))
    return msgspec.msgpack.decode(_exactly(channel, length), type=Order)


def _exactly(channel: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = channel.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


async def _serve(order: Order, sock: socket.socket, channel: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    farthing = Farthing(order.settings, Home(Path(order.home)), environment=os.environ, workers=order.workers)
    await farthing.open()
    try:

        def ready() -> None:
            settle_memory()
            hear_signals()
            with suppress(OSError):  # who started us is gone: the channel's end, which is heard next, says so
                channel.send(READY)
            loop.add_reader(channel, spoken)

        def spoken() -> None:
            try:
                word = channel.recv(len(LEAVE + AT_ONCE))
            except OSError:  # who started us is gone, and has not heard our own word
                word = b""
            if not word:
                loop.remove_reader(channel)
            live.force_exit = live.force_exit or AT_ONCE in word
            live.stop()

        live = build_server(farthing, order.server, on_ready=ready, worker=order.index)
        channel.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        async with following_settings(farthing, live, seen=order.seen, told=order.told, tell=lambda _: None):
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
    hold_signals()
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # to start anew is for who started us
    channel, sock = (socket.socket(fileno=int(number)) for number in sys.argv[1:3])
    with channel, sock:
        try:
            order = read_order(channel)
        except EOFError:
            return 1
        prepare_process(order.settings.log)
        try:
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(_serve(order, sock, channel))
        except FarthingError as error:
            say(f"worker {order.index}: {error.message}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
