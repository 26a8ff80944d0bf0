"""The admin page's door, over a real socket: by which names it may be called, and what a cookie may hold."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from farthing.clock import SystemClock
from farthing.server.admin.page import AdminPage, _models, _totals
from farthing.server.admin.token import digest_of
from farthing.storage.sqlite import SqliteStore
from farthing.types.ledger import CostsRow
from tests.contracts.ledger_samples import InPlace
from tests.unit.server.test_protocol import serving, talk

PEPPER = b"p" * 32


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[AdminPage]:
    store = SqliteStore(tmp_path / "farthing.db", InPlace())
    await store.open()
    yield AdminPage(
        token_digest=lambda: digest_of("fta-token", PEPPER),
        pepper=PEPPER,
        store=store,
        clock=SystemClock(),
        hosts=frozenset({"localhost", "127.0.0.1", "[::1]"}),
    )
    await store.close()


def numbers(*cells: str) -> str:
    return "".join(f'<td class="number">{cell}</td>' for cell in cells)


def test_money_that_nobody_knows_is_not_shown_as_none() -> None:
    def row(group: str, cost_nanousd: int, unknown: int) -> CostsRow:
        nothing = dict.fromkeys(set(CostsRow.__struct_fields__) - {"group"}, 0)
        told = {"calls": 2, "attempts": 2, "cost_nanousd": cost_nanousd, "unknown_cost_attempts": unknown}
        return CostsRow(group=group, **{**nothing, **told})

    told = _models([row("lab:m", 0, 2), row("openai:gpt", 5, 1), row("free:m", 0, 0)])
    assert '<th class="number">Of unknown cost</th>' in told
    assert f"<td>lab:m</td>{numbers('unknown', '2', '2')}" in told
    assert f"<td>openai:gpt</td>{numbers('0.000000005', '2', '1')}" in told
    assert f"<td>free:m</td>{numbers('0.000000000', '2', '0')}" in told
    assert f"<td>Ever</td>{numbers('unknown')}" in _totals([], [row("", 0, 2)])


async def ask(page: AdminPage, host: bytes, cookie: bytes = b"", path: bytes = b"/admin") -> bytes:
    async with serving(page) as (_, port):
        lines = b"GET %b HTTP/1.1\r\nhost: %b\r\ncookie: farthing_admin=%b\r\nconnection: close\r\n\r\n"
        return await talk(port, lines % (path, host, cookie))


@pytest.mark.parametrize("host", [b"localhost", b"LOCALHOST:3000", b"127.0.0.1:80", b"[::1]:3000", b"[::1]"])
async def test_the_page_answers_to_its_own_names(page: AdminPage, host: bytes) -> None:
    assert (await ask(page, host)).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    "host", [b"evil.com", b"localhost:evil.com", b"localhost:80:80", b"[::1]evil.com", b"[::1]:x", b"", b"\xff"]
)
async def test_the_page_answers_to_no_other_name(page: AdminPage, host: bytes) -> None:
    assert (await ask(page, host)).startswith(b"HTTP/1.1 421 ")


async def test_only_the_cookie_that_the_link_gave_opens_the_page(page: AdminPage) -> None:
    login = await ask(page, b"localhost", path=b"/admin/login?token=fta-token")
    cookie = login.partition(b"farthing_admin=")[2].partition(b";")[0]
    assert (await ask(page, b"localhost", cookie)).startswith(b"HTTP/1.1 200 ")
    for wrong in (cookie[:-1], b"\xff\xfe", b'"\\377"', "é".encode()):
        assert (await ask(page, b"localhost", wrong)).startswith(b"HTTP/1.1 401 ")
