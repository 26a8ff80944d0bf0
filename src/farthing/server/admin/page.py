"""The admin's page: is it running, what was spent, what were the last calls.

One plain page without a script, so that it works before any dashboard is built. The admin link carries the token once;
the browser keeps a cookie derived from it that no script can read and no other site can send. The framework is
imported with the first visit: it costs 30 ms and 3 MB that a gateway without visitors need not spend.
"""

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from farthing.clock import Clock
from farthing.server.admin.token import digest_of
from farthing.server.listener import AsgiApp, Receive, Scope, Send
from farthing.storage.protocols import LedgerStore
from farthing.types.calls import Attempt
from farthing.types.ledger import CostsRow
from farthing.types.money import usd_text

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

ADMIN_PAGES = frozenset({"/admin", "/admin/", "/admin/login", "/admin/style.css"})
"""Everything else below `/admin` is the API's."""
COOKIE = "farthing_admin"
COOKIE_S = 12 * 3600
"""A working day; after that the link is needed again."""
SHOWN_CALLS = 25
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::[0-9]*)?")
_DAY_US = 86_400 * 1_000_000
_SECURITY = {
    "content-security-policy": "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


class AdminPage:
    """An ASGI application for `/admin`; whoever shows neither token nor cookie is told how to get the link."""

    def __init__(
        self,
        *,
        token_digest: Callable[[], bytes],
        pepper: bytes,
        store: LedgerStore,
        clock: Clock,
        hosts: frozenset[str],
    ) -> None:
        """`token_digest` tells what the token must hash to, now: a new link ends the old one's life at once.

        `hosts` are the names by which this page may be called.
        """
        self._token_digest = token_digest
        self._pepper = pepper
        self._store = store
        self._clock = clock
        self._hosts = hosts
        self._app: AsgiApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if self._app is None:
            self._app = self._build()
        await self._app(scope, receive, send)

    def _cookie(self) -> str:
        return hmac.digest(self._pepper, b"admin cookie" + self._token_digest(), hashlib.sha256).hex()

    def knows(self, cookie: str) -> bool:
        """Whether this is the cookie that the link gave."""
        # As bytes: texts are only compared where they are ASCII, and a client sends what it likes.
        return hmac.compare_digest(cookie.encode(errors="replace"), self._cookie().encode())

    def _build(self) -> AsgiApp:
        from starlette.applications import Starlette  # noqa: PLC0415 - see the module's docstring
        from starlette.routing import Route  # noqa: PLC0415 - see the module's docstring

        return Starlette(
            routes=[
                Route("/admin", self._guarded(self._overview)),
                Route("/admin/login", self._guarded(self._login, public=True)),
                Route("/admin/style.css", self._guarded(self._style, public=True)),
            ]
        )

    def _guarded(
        self, page: Callable[["Request"], Awaitable["Response"]], *, public: bool = False
    ) -> Callable[["Request"], Awaitable["Response"]]:
        from starlette.responses import HTMLResponse  # noqa: PLC0415 - see the module's docstring

        async def guarded(request: "Request") -> "Response":
            response: Response
            if host_of(request.headers.get("host", "")) not in self._hosts:
                # A page elsewhere that points its own name at this address (DNS rebinding) ends here.
                response = HTMLResponse(
                    _html("Not this name", "<p>Call this page by the address it listens on.</p>"), 421
                )
            elif not public and not self.knows(request.cookies.get(COOKIE, "")):
                response = HTMLResponse(_html("Who are you?", _LOGIN_HELP), 401)
            else:
                response = await page(request)
            response.headers.update(_SECURITY)
            return response

        return guarded

    async def _login(self, request: "Request") -> "Response":
        from starlette.responses import HTMLResponse, RedirectResponse  # noqa: PLC0415 - see the module's docstring

        token = request.query_params.get("token", "")
        if not hmac.compare_digest(digest_of(token, self._pepper), self._token_digest()):
            return HTMLResponse(_html("Not this link", _LOGIN_HELP), 401)
        response = RedirectResponse("/admin", 303)
        response.set_cookie(
            COOKIE,
            self._cookie(),
            max_age=COOKIE_S,
            path="/admin",
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    async def _style(self, _request: "Request") -> "Response":
        from starlette.responses import Response as PlainResponse  # noqa: PLC0415 - see the module's docstring

        style = files("farthing.server.admin").joinpath("style.css").read_bytes()
        return PlainResponse(style, media_type="text/css")

    async def _overview(self, _request: "Request") -> "Response":
        from starlette.responses import HTMLResponse  # noqa: PLC0415 - see the module's docstring

        now = self._clock.now_us()
        today = await self._store.costs(None, now - now % _DAY_US)
        ever = await self._store.costs(None)
        models = await self._store.costs("model")
        calls = await self._store.recent(SHOWN_CALLS)
        return HTMLResponse(_html("Farthing", _totals(today, ever) + _models(models) + _calls(calls)))


_LOGIN_HELP = (
    "<p>This page opens with the admin link, which was printed when Farthing first started. "
    "Lost it? <code>farthing admin link</code> prints a new one.</p>"
)


def _totals(today: list[CostsRow], ever: list[CostsRow]) -> str:
    rows = [
        [
            name,
            _spent(row),
            f"{row.calls:,}",
            f"{row.unknown_cost_attempts:,}",
            f"{row.estimated_attempts:,}",
        ]
        for name, found in (("Today (UTC)", today), ("Ever", ever))
        for row in found
    ]
    return _table("Spent", ["", "USD", "Calls", "Of unknown cost", "Estimated"], rows, "Nothing yet.")


def _models(models: list[CostsRow]) -> str:
    rows = [
        [
            row.group or "-",
            _spent(row),
            f"{row.calls:,}",
            f"{row.unknown_cost_attempts:,}",
            f"{row.input_tokens:,}",
            f"{row.cache_read_input_tokens:,}",
            f"{row.output_tokens:,}",
        ]
        for row in models
    ]
    heads = ["Model", "USD", "Calls", "Of unknown cost", "Input tokens", "of it cached", "Output tokens"]
    return _table("By model", heads, rows, "No call has been made yet: see the snippets of the first start.")


def _spent(row: CostsRow) -> str:
    """Return a sum in dollars; one over nothing that is known is unknown, and not 0."""
    nothing_known = row.attempts > 0 and row.unknown_cost_attempts == row.attempts
    return "unknown" if nothing_known else usd_text(row.cost_nanousd)


def _calls(calls: list[list[Attempt]]) -> str:
    rows = []
    for attempts in calls:
        last = attempts[-1]
        costs = [attempt.cost_nanousd for attempt in attempts]
        known = [cost for cost in costs if cost is not None]
        rows.append(
            [
                datetime.fromtimestamp(last.opening.started_at_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S"),
                f"{last.opening.provider}:{last.opening.model}",
                last.opening.attribution.key_name,
                last.outcome,
                usd_text(sum(known)) if len(known) == len(costs) else "unknown",
                last.opening.call_id,
            ]
        )
    return _table("Last calls", ["Began (UTC)", "Model", "Key", "Outcome", "USD", "Call"], rows, "None.")


def host_of(header: str) -> str | None:
    """Return the name of a host header without its port; None for what is no host header."""
    found = _HOST.fullmatch(header)
    return found[1].lower() if found else None


def _html(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="stylesheet" href="/admin/style.css"></head>'
        f"<body><h1>{escape(title)}</h1>{body}</body></html>"
    )


_WORDS = ("", "Model", "Began (UTC)", "Key", "Outcome", "Call")
"""Heads of columns that hold words; numbers stand right-aligned below the others."""


def _table(caption: str, heads: list[str], rows: list[list[str]], empty: str) -> str:
    if not rows:
        return f"<h2>{escape(caption)}</h2><p>{escape(empty)}</p>"
    kinds = ["" if head in _WORDS else ' class="number"' for head in heads]
    head = "".join(f"<th{kind}>{escape(cell)}</th>" for cell, kind in zip(heads, kinds, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row, kinds, strict=True)) + "</tr>"
        for row in rows
    )
    return f"<h2>{escape(caption)}</h2><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
