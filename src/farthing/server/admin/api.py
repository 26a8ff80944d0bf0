"""The admin API: `/admin/v1`, and the same below `/admin`.

One request's story: who asks, which route, may they, is what they send right, write down what is about to be changed,
do it, write down what came of it, answer. Whoever is not known learns nothing, not even which paths there are. No
answer carries a CORS header, so no page elsewhere may read one.
"""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from farthing.errors import (
    FarthingError,
    Forbidden,
    MethodNotAllowed,
    RequestTooLarge,
    RouteNotFound,
    StoreError,
    UnsupportedEncoding,
    WrongFields,
    in_public,
)
from farthing.server.admin.access import Door
from farthing.server.admin.ask import Ask, House
from farthing.server.admin.reading import MAX_BODY_BYTES, read_body, read_query
from farthing.server.admin.routes import Answer, Found, Route, Table
from farthing.server.listener import Receive, Scope, Send
from farthing.types.admin import Caller, Change, ChangeOutcome

log = logging.getLogger(__name__)

PREFIX = "/admin/v1"
ALIAS = "/admin"
_JSON = (b"content-type", b"application/json")
_SAFE = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
_BUSY = 503
_OURS = 500


class WrongMember(msgspec.Struct, frozen=True, omit_defaults=True):
    """A member that is wrong: where it stands, such as `budget.usd`, what was found, and what is allowed there."""

    field: str
    message: str
    value: str | None = None
    allowed: str | None = None


class ErrorBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong; `code` is for programs, `hint` is the way out, `problems` are the members that are wrong."""

    code: str
    message: str
    hint: str | None = None
    problems: tuple[WrongMember, ...] = ()


class ErrorAnswer(msgspec.Struct, frozen=True):
    """Every answer whose status is 400 or more."""

    error: ErrorBody


class AdminApi:
    """An ASGI application for everything below `/admin` that is no page."""

    def __init__(self, house: House, door: Door, table: Table) -> None:
        self._house = house
        self._door = door
        self._table = table
        self._changing: set[asyncio.Task[Answer]] = set()
        """Changes that are being made; as many as clients wait for, and those whose clients have left."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request_id = self._house.farthing.ids.new("req")
        more: list[tuple[bytes, bytes]] = []
        caller: Caller | None = None
        try:
            caller = await self._door.caller(scope)
            answer = await self._answer(self._find(scope, more), caller, request_id, scope, receive)
        except FarthingError as error:
            status = _status_of(error)
            if status == HTTPStatus.UNAUTHORIZED:
                more.append((b"www-authenticate", b'Bearer realm="farthing admin"'))
            if status >= _OURS:
                log.warning("%s is answered with %d %s: %s", request_id, status, error.code, error)
            operates = caller is not None and caller.role == "admin"
            told = _told(error if operates else in_public(error))
            await _send(send, status, msgspec.json.encode(told), request_id, more)
        except Exception:
            log.exception("an error nobody expected in the admin API (%s)", request_id)
            failed = FarthingError("The gateway failed at this.", hint=f"its log says why, under {request_id}.")
            await _send(send, 500, msgspec.json.encode(_told(failed)), request_id)
        else:
            if answer.stream is not None:
                await _send_stream(send, answer, request_id)
            else:
                body = b"" if answer.content is None else msgspec.json.encode(answer.content)
                await _send(send, answer.status, body, request_id)

    def _find(self, scope: Scope, more: list[tuple[bytes, bytes]]) -> Found:
        """Return the route that is meant; `more` are the headers of a refusal."""
        path: str = scope["path"]
        below = path.removeprefix(PREFIX) if path == PREFIX or path.startswith(f"{PREFIX}/") else path[len(ALIAS) :]
        found = self._table.find("GET" if scope["method"] == "HEAD" else scope["method"], below)
        if isinstance(found, Found):
            return found
        if not found:
            told = path if len(path) <= 128 and path.isprintable() else "this path"
            raise RouteNotFound(f"There is nothing at {told}.", hint=f"{PREFIX}/openapi.json lists what there is.")
        more.append((b"allow", ", ".join(found).encode()))
        raise MethodNotAllowed(f"{scope['method']} is not a method here.", hint=f"use {', '.join(found)}.")

    async def _answer(self, found: Found, caller: Caller, request_id: str, scope: Scope, receive: Receive) -> Answer:
        route = found.route
        if caller.role not in route.roles:
            allowed = " or ".join(route.roles)
            raise Forbidden(f"This is for the {allowed}; the token is a {caller.role}'s.", hint="ask the admin.")
        if caller.tenant is not None and "manager" not in route.roles:
            raise Forbidden(f"This is not of the {caller.tenant}, but of the whole house.", hint="ask the admin.")
        if not all(value.isprintable() for value in found.params.values()):
            raise RouteNotFound("There is nothing of that name.")
        query = read_query(scope["query_string"], route.query)
        body = await _body(scope, receive)
        asked: Ask[Any, Any] = Ask(self._house, caller, request_id, found.params, read_body(body, route.takes), query)
        if route.changes:
            return await self._to_its_end(self._changed(route, asked))
        if route.streams and scope["method"] == "HEAD":
            return Answer()
        return await route.handler(asked)

    async def _to_its_end(self, change: Coroutine[None, None, Answer]) -> Answer:
        """Make a change as a whole: a client that leaves meanwhile does not stop it half way."""
        task = asyncio.create_task(change)
        self._changing.add(task)
        task.add_done_callback(self._changing.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_note_end)
            raise

    async def _changed(self, route: Route, asked: Ask[Any, Any]) -> Answer:
        """Have something changed, between a line that says so and what came of it."""
        caller, store = asked.caller, self._house.store.admin
        change = Change(
            id=self._house.farthing.ids.new("chg"),
            at_us=self._house.now_us(),
            who=caller.id,
            who_name=caller.name,
            role=caller.role,
            organisation=None if caller.tenant is None else caller.tenant.organisation,
            team=None if caller.tenant is None else caller.tenant.team,
            request_id=asked.request_id,
            action=route.name,
            subject=next(iter(asked.params.values()), None),
        )
        await store.begin_change(change)
        outcome: ChangeOutcome = "failed"
        status = 500
        try:
            answer = await route.handler(asked)
            outcome, status = "done", answer.status
        except FarthingError as error:
            status = _status_of(error)
            outcome = "failed" if status >= 500 else "refused"
            raise
        finally:
            noted = asked.noted
            ended = msgspec.structs.replace(
                change,
                subject=noted.subject or change.subject,
                before=noted.before,
                after=noted.after if outcome == "done" else None,
                outcome=outcome,
                status=status,
            )
            try:
                await store.end_change(ended)
            except StoreError as error:  # the line is there, and says that nobody knows
                log.warning("what came of the change %s could not be written down: %s", change.id, error)
        return answer


def _note_end(task: asyncio.Task[Answer]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.info("a change whose client has left ended with: %s", error)


def _status_of(error: FarthingError) -> int:
    return _BUSY if isinstance(error, StoreError) else error.status


def _told(error: FarthingError) -> ErrorAnswer:
    problems = error.problems if isinstance(error, WrongFields) else ()
    return ErrorAnswer(ErrorBody(error.code, error.message, error.hint, tuple(WrongMember(*one) for one in problems)))


async def _body(scope: Scope, receive: Receive) -> bytes:
    for name, value in scope["headers"]:
        if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise UnsupportedEncoding("The admin API takes bodies as they are.", hint="send no content-encoding.")
    body: bytes = (await receive())["body"]
    if len(body) > MAX_BODY_BYTES:
        raise RequestTooLarge(f"A body of {len(body)} bytes is over the bound of {MAX_BODY_BYTES}.")
    return body


async def _send(
    send: Send, status: int, body: bytes, request_id: str, more: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    headers = [*_SAFE, (b"x-request-id", request_id.encode()), *more, (b"content-length", b"%d" % len(body))]
    if body:
        headers.append(_JSON)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_stream(send: Send, answer: Answer, request_id: str) -> None:
    assert answer.stream is not None
    headers = [*_SAFE, (b"x-request-id", request_id.encode()), (b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    try:
        async for piece in answer.stream:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    finally:
        await answer.stream.aclose()
    await send({"type": "http.response.body", "body": b""})
