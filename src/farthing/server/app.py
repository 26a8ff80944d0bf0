"""From an HTTP request to a face and back: the hot routes, as a bare ASGI application.

Whatever is not hot (health, pages, unknown paths) goes to `pages`, which may use a framework. Every path has an auth
decision here: a face's path needs a client key, and only what `pages` declares public needs none.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from farthing.auth.key_ring import KeyRing
from farthing.errors import Draining, FarthingError, InvalidKey, MethodNotAllowed, NotServed, RouteNotFound
from farthing.gateway.call import Reply, Request
from farthing.gateway.gateway import Gateway
from farthing.gateway.headers import RequestHeaders
from farthing.gateway.metered_stream import Push
from farthing.server.faces.anthropic import AnthropicFace
from farthing.server.faces.openai import OpenAIFace
from farthing.server.faces.protocol import Face, Route
from farthing.server.listener import CUT, HOLD, PUSH, AsgiApp, Receive, Scope, Send
from farthing.types.principal import Principal

log = logging.getLogger(__name__)

_OPENAI, _ANTHROPIC = OpenAIFace(), AnthropicFace()
_FACES: tuple[Face, ...] = (_OPENAI, _ANTHROPIC)
_ROUTES: dict[tuple[str, str], tuple[Face, Route]] = {
    at: (face, route) for face in _FACES for at, route in face.routes.items()
}
_METHODS: dict[str, str] = {path: method for method, path in _ROUTES}
_BEGINNINGS = tuple({f"/{path.split('/')[1]}/" for path in _METHODS})
_KEY_PATH = "/k/"
_JSON = (b"content-type", b"application/json")


class HotApp:
    """The ASGI application in front of everything."""

    def __init__(self, *, gateway: Gateway, keys: KeyRing, pages: AsgiApp) -> None:
        self._gateway = gateway
        self._keys = keys
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path, token = scope["path"], None
        if path.startswith(_KEY_PATH):
            token, slash, rest = path[len(_KEY_PATH) :].partition("/")
            path = slash + rest
        method = scope["method"]
        found = _ROUTES.get((method, path)) or _match(method, path)
        if found is None:
            if token is None and not path.startswith(_BEGINNINGS) and path not in _METHODS:
                await self._pages(scope, receive, send)
            else:
                await self._no_route(scope, path, send)
            return
        face, route = found
        try:
            headers = RequestHeaders(scope["headers"])
            token = token if token is not None else _client_token(headers.told)
            try:
                principal = self._keys.verify(token)
            except InvalidKey:
                principal = await self._keys.look_again(token)
            headers.hide(token if isinstance(token, bytes) else token.encode())
            match route.action:
                case "list_models" | "show_model":
                    await self._show_models(_face_of(scope, face), route, send)
                case "fixed":
                    await _send_body(200, [_JSON], route.fixed, send)
                case _:
                    await self._call(face, route, scope, headers, principal, receive, send)
        except FarthingError as error:
            await _send_error(_face_of(scope, face), error, send)

    async def _call(
        self,
        face: Face,
        route: Route,
        scope: Scope,
        headers: RequestHeaders,
        principal: Principal,
        receive: Receive,
        send: Send,
    ) -> None:
        assert route.action != "list_models"
        assert route.action != "show_model"
        assert route.action != "fixed"
        message = await receive()
        hold = scope["extensions"][HOLD]
        request = Request(
            face.name,
            route.wire,
            route.action,
            route.model,
            route.streamed,
            route.streams_by_default,
            scope["query_string"],
            headers,
            message["body"],
            principal,
            hold,
        )
        try:
            reply = await self._gateway.call(request)
        except asyncio.CancelledError as cancelled:
            if cancelled.args != CUT:
                raise
            raise _stopping() from None
        if reply.stream is not None:
            await _send_stream(reply, send, scope["extensions"][PUSH])
        else:
            await _send_whole(face, reply, send)

    async def _show_models(self, face: Face, route: Route, send: Send) -> None:
        # The shared path is routed as OpenAI's; the face that was meant knows its own format.
        wire = route.wire if face is not _ANTHROPIC else "anthropic_messages"
        if route.action == "show_model":
            assert route.model is not None
            body = face.render_model(await self._gateway.model(route.model, wire))
        else:
            body = face.render_models(await self._gateway.models(wire))
        await _send_body(200, [_JSON], body, send)

    async def _no_route(self, scope: Scope, path: str, send: Send) -> None:
        error: FarthingError
        if path in _METHODS:
            error = MethodNotAllowed(f"{scope['method']} {path} is not a method here", hint=f"use {_METHODS[path]}")
        elif any(path.startswith(face.not_served) for face in _FACES):
            error = NotServed(f"{path} is outside what Farthing serves", hint="call the provider itself for it")
        else:
            known = ", ".join(sorted(_METHODS))
            error = RouteNotFound(f"there is nothing at {path}", hint=f"known paths: {known}")
        await _send_error(_face_of(scope, _OPENAI), error, send)


def _match(method: str, path: str) -> tuple[Face, Route] | None:
    """Find a path with a model's name in it."""
    for face in _FACES:
        route = face.match(method, path)
        if route is not None:
            return face, route
    return None


def _client_token(told: Mapping[bytes, bytes]) -> bytes:
    """Return the client's key from wherever its SDK puts it."""
    authorization = told.get(b"authorization")
    if authorization is not None:
        scheme, _, token = authorization.partition(b" ")
        if scheme.lower() == b"bearer":
            return token.strip()
    if (token := told.get(b"x-api-key", b"")) != b"":
        return token
    raise InvalidKey(
        "no key was sent", hint='send "Authorization: Bearer ft-..." or "x-api-key: ft-..."; see "farthing keys create"'
    )


def _face_of(scope: Scope, face: Face) -> Face:
    """Tell the faces apart where they share a path: Anthropic's clients always name their version."""
    if face is _OPENAI and any(name == b"anthropic-version" for name, _ in scope["headers"]):
        return _ANTHROPIC
    return face


async def _send_whole(face: Face, reply: Reply, send: Send) -> None:
    body, headers = reply.body, reply.headers
    if reply.refusal is not None:
        refusal = reply.refusal
        body = face.render_refusal(refusal.status, refusal.code, refusal.message)
        headers = [header for header in headers if header[0] != b"content-type"]
        headers.append((b"content-type", b"application/json"))
    await _send_body(reply.status, headers, body, send)


async def _send_stream(reply: Reply, send: Send, push: Push) -> None:
    stream = reply.stream
    assert stream is not None
    try:
        await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
        await send({"type": "http.response.body", "body": stream.held(), "more_body": True})
        while not stream.over:
            data = await stream.next(push)
            await send({"type": "http.response.body", "body": data, "more_body": not stream.over})
    except asyncio.CancelledError as cancelled:
        if cancelled.args != CUT:
            raise
        await send({"type": "http.response.body", "body": stream.stop(_stopping()), "more_body": False})
    except Exception:
        log.exception("an error nobody expected in a stream")
        broken = FarthingError("the gateway failed in the middle of this answer", hint="tell the operator")
        await send({"type": "http.response.body", "body": stream.stop(broken), "more_body": False})
    finally:
        if not stream.over:
            stream.stop()


async def _send_error(face: Face, error: FarthingError, send: Send) -> None:
    status, headers, body = face.render(error)
    await _send_body(status, headers, body, send)


async def _send_body(status: int, headers: list[tuple[bytes, bytes]], body: bytes, send: Send) -> None:
    start: dict[str, Any] = {"type": "http.response.start", "status": status}
    start["headers"] = [*headers, (b"content-length", b"%d" % len(body))]
    await send(start)
    await send({"type": "http.response.body", "body": body})


def _stopping() -> Draining:
    return Draining("the gateway is stopping and this answer took too long", hint="try again", retry_after_s=1)
