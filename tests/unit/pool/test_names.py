"""One name's jam is its own: lookups are shared, short-lived in memory, bounded, and nobody waits for them to stop."""

import asyncio
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from farthing.errors import ProviderTimeout, ProviderUnreachable
from farthing.providers.pool import Dialer, Origin, Pool, Proxies, Timeouts, nothing_sent
from farthing.providers.pool.names import MAX_UNDER_WAY, Names, ask_system
from tests.unit.pool.upstream import OK, always, ask, ask_whole, once, until, upstream

CLOSING = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"
IMPATIENT = Timeouts(connect_s=0.05)


class NameServer:
    """Knows `good.example` and is silent about `dead.example` until it is released."""

    def __init__(self, *addresses: str) -> None:
        self.asked: list[str] = []
        self.released = threading.Event()
        self.good = list(addresses) or ["127.0.0.1"]

    def __call__(self, host: str) -> list[Any]:
        self.asked.append(host)
        if host.startswith("dead"):
            self.released.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        if host == "good.example":
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in self.good]
        return ask_system(host)


@pytest.fixture
def server() -> Iterator[NameServer]:
    server = NameServer()
    yield server
    server.released.set()


def named(host: str, origin: Origin) -> Origin:
    return Origin("http", host, origin.port)


async def test_a_name_that_is_not_resolved_holds_one_thread_and_no_other_provider_up(server: NameServer) -> None:
    pool = Pool(connect=Dialer(names=Names(server)))
    async with upstream(once(CLOSING)) as up:  # every request needs a connection of its own
        dead = named("dead.example", up.origin)
        async with asyncio.TaskGroup() as group:
            for _ in range(30):
                group.create_task(_timed_out(pool, dead))
            for _ in range(5):
                assert await ask_whole(pool, named("good.example", up.origin)) == b"ok"
        await _timed_out(pool, dead)  # calls that gave up left nothing behind that this one had to wait for
    assert server.asked.count("dead.example") == 1
    assert [thread.name for thread in threading.enumerate()].count("farthing-lookup-dead.example") == 1
    await pool.close()


async def _timed_out(pool: Pool, origin: Origin) -> None:
    with pytest.raises(ProviderTimeout, match="connect timeout") as caught:
        await ask(pool, origin, timeouts=IMPATIENT)
    assert nothing_sent(caught.value)


async def test_who_waits_for_a_name_is_told_when_it_cannot_be_resolved(server: NameServer) -> None:
    pool = Pool(connect=Dialer(names=Names(server)))
    asking = [asyncio.create_task(ask(pool, Origin("http", "dead.example", 80))) for _ in range(3)]
    await until(lambda: server.asked)
    server.released.set()
    for answer in await asyncio.gather(*asking, return_exceptions=True):
        assert isinstance(answer, ProviderUnreachable)
        assert "Temporary failure in name resolution" in str(answer)
    assert server.asked == ["dead.example"]
    with pytest.raises(ProviderUnreachable):
        await ask(pool, Origin("http", "dead.example", 80))
    assert server.asked == ["dead.example"] * 2  # a failure is not remembered
    await pool.close()


async def test_a_burst_of_new_connections_asks_once(server: NameServer) -> None:
    pool = Pool(connect=Dialer(names=Names(server)))
    async with upstream(once(CLOSING)) as up:
        for _ in range(3):
            await asyncio.gather(*(ask_whole(pool, named("good.example", up.origin)) for _ in range(10)))
        assert up.connections == 30
    assert server.asked == ["good.example"]
    await pool.close()


async def test_an_answer_is_used_again_only_while_it_is_fresh(server: NameServer) -> None:
    for fresh_s, then in ((60, "127.0.0.1"), (-1, "127.0.0.2")):
        server.good = ["127.0.0.1"]
        names = Names(server, fresh_s=fresh_s)
        assert await names.addresses("good.example") == ("127.0.0.1",)
        server.good = ["127.0.0.2"]
        assert await names.addresses("good.example") == (then,)


async def test_every_address_of_a_name_is_tried_in_order(server: NameServer) -> None:
    server.good = ["127.0.0.9", "127.0.0.1"]  # nobody listens at the first
    pool = Pool(connect=Dialer(names=Names(server)))
    async with upstream(always(OK)) as up:
        assert await ask_whole(pool, named("good.example", up.origin)) == b"ok"
    await pool.close()


async def test_a_name_under_which_nobody_is_reached_is_asked_for_anew(server: NameServer) -> None:
    server.good = ["127.0.0.9", "127.0.0.8"]
    pool = Pool(connect=Dialer(names=Names(server)))
    async with upstream(always(OK)) as up:
        origin = named("good.example", up.origin)
        with pytest.raises(ProviderUnreachable, match="the connection was refused"):
            await ask(pool, origin)
        server.good = ["127.0.0.1"]  # it has moved
        assert await ask_whole(pool, origin) == b"ok"
    assert server.asked == ["good.example"] * 2
    await pool.close()


async def test_an_address_is_not_looked_up(server: NameServer) -> None:
    for address in ("127.0.0.1", "::1", "fe80::1%1"):
        assert await Names(server).addresses(address) == (address,)
    assert server.asked == []


async def test_an_address_of_one_link_keeps_its_link() -> None:
    def on_a_link(host: str) -> list[Any]:
        del host
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 0, 0, 7))]

    assert await Names(on_a_link).addresses("neighbour") == ("fe80::1%7",)


async def test_so_many_names_that_jam_at_once_are_refused_and_their_threads_bounded(server: NameServer) -> None:
    names = Names(server)
    asking = [asyncio.create_task(names.addresses(f"dead{number}.example")) for number in range(MAX_UNDER_WAY)]
    await until(lambda: len(server.asked) == MAX_UNDER_WAY)
    with pytest.raises(socket.gaierror, match=f"{MAX_UNDER_WAY} other names"):
        await names.addresses("good.example")
    server.released.set()
    await asyncio.wait(asking)
    assert all(isinstance(task.exception(), socket.gaierror) for task in asking)
    assert await names.addresses("good.example") == ("127.0.0.1",)


async def test_the_systems_resolver_is_asked() -> None:
    assert set(await Names().addresses("localhost")) <= {"127.0.0.1", "::1"}
    with pytest.raises(OSError, match=r"."):
        await Names().addresses("nowhere.invalid")


async def test_a_proxys_name_is_looked_up_in_the_same_way(server: NameServer) -> None:
    proxies = Proxies({"HTTP_PROXY": "http://dead.example:3128"})
    pool = Pool(connect=Dialer(proxies, Names(server)))
    await _timed_out(pool, Origin("http", "anywhere.example", 80))
    assert server.asked == ["dead.example"]
    await pool.close()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_stop_does_not_wait_for_lookups(loop: str) -> None:
    program = textwrap.dedent(f"""
        import asyncio, threading, {loop}
        from farthing.providers.pool import Dialer, Origin, Pool, Timeouts
        from farthing.providers.pool.names import Names

        async def main():
            begun = threading.Event()

            def silent(host):
                begun.set()
                threading.Event().wait(600)

            pool = Pool(connect=Dialer(names=Names(silent)))
            head = b"GET / HTTP/1.1"
            calls = [asyncio.create_task(pool.send(Origin("http", f"dead{{n}}.example", 80), head, (b"",), Timeouts()))
                     for n in range(3)]
            while not begun.is_set():
                await asyncio.sleep(0)
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
            await pool.close()
            print("closed")

        {loop}.run(main())
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "closed\n", "")
