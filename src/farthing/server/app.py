"""From an HTTP request to a face and back: the hot routes, as a bare ASGI application.

Whatever is not hot (health, pages, unknown paths) goes to `pages`, which may use a framework. Every path has an auth
decision here: a face's path needs a client key, and only what `pages` declares public needs none.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from farthing.auth.key_ring import KeyRing
from farthing.errors import Draining, FarthingError, InvalidKey, MethodNotAllowed, NotServed, RouteNotFound
from farthing.gateway.call import Reply, Request
from farthing.gateway.gateway import Gateway
from farthing.gateway.headers import RequestHeaders
from farthing.gateway.metered_stream import Push
from farthing.server.faces.anthropic import AnthropicFace
from farthing.server.faces.gemini import GeminiFace
from farthing.server.faces.ollama import OllamaFace
from farthing.server.faces.openai import OpenAIFace, ResponsesFace
from farthing.server.faces.protocol import Face, Route
from farthing.server.listener import CUT, HOLD, PUSH, AsgiApp, Receive, Scope, Send
from farthing.types.principal import Principal
from farthing.types.providers import WireFormat

log = logging.getLogger(__name__)

_OPENAI, _ANTHROPIC, _GEMINI = OpenAIFace(), AnthropicFace(), GeminiFace()
_FACES: tuple[Face, ...] = (_OPENAI, ResponsesFace(), _ANTHROPIC, _GEMINI, OllamaFace())
_ROUTES: dict[tuple[str, str], tuple[Face, Route]] = {
    at: (face, route) for face in _FACES for at, route in face.routes.items()
}
_METHODS: dict[str, str] = {path: method for method, path in _ROUTES}
_AT_HOME: dict[str, Face] = {
    path.split("/")[1]: face for face in reversed(_FACES) for path in (*(at[1] for at in face.routes), *face.not_served)
}
"""Whose clients look for something below a path's first part; where faces share one, the first of them."""
_BEGINNINGS = (
    *{f"/{path.split('/')[1]}/" for path in _METHODS},
    *(start for face in _FACES for start in face.not_served if start.startswith("/")),
)
_KEY_PATH = "/k/"
_IN_QUERY = (b"key", b"access_token", b"oauth_token")
"""Where Google's clients may put a credential in a query; none of these goes on."""
_WIRES: dict[str, WireFormat] = {"anthropic": "anthropic_messages", "gemini": "gemini"}
"""The formats of the faces that share a path which is routed as OpenAI's."""
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
            if path in ("", "/"):  # public; `ollama` knocks there first, and its address has a key in it
                await self._pages({**scope, "path": "/"}, receive, send)
            elif token is None and not path.startswith(_BEGINNINGS) and path not in _METHODS:
                await self._pages(scope, receive, send)
            else:
                await self._no_route(scope, path, send)
            return
        face, route = found
        try:
            headers = RequestHeaders(scope["headers"])
            token = token if token is not None else _client_token(headers.told, scope["query_string"])
            try:
                principal = self._keys.verify(token)
            except InvalidKey:
                principal = await self._keys.look_again(token)
            key = token if isinstance(token, bytes) else token.encode()
            headers.hide(key)
            if scope["query_string"]:
                scope["query_string"] = _without_key(scope["query_string"], key)
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
            _without_credentials(scope["query_string"]),
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
        wire = _WIRES.get(face.name, route.wire)
        if route.action == "show_model":
            assert route.model is not None
            body = face.render_model(await self._gateway.model(route.model, wire))
        else:
            body = face.render_models(await self._gateway.models(wire))
        await _send_body(200, [_JSON], body, send)

    async def _no_route(self, scope: Scope, path: str, send: Send) -> None:
        error: FarthingError
        asked = f"{scope['method']} {path}"
        at_home = _AT_HOME.get(path[1:].partition("/")[0], _OPENAI)
        outside = [face for face in _FACES if path.startswith(face.not_served) or asked.startswith(face.not_served)]
        if outside:
            at_home = outside[0]
            error = NotServed(f"{asked} is outside what Farthing serves", hint="call the provider itself for it")
        elif path in _METHODS:
            error = MethodNotAllowed(f"{asked} is not a method here", hint=f"use {_METHODS[path]}")
        else:
            known = ", ".join(sorted(_METHODS))
            error = RouteNotFound(f"there is nothing at {path}", hint=f"known paths: {known}")
        await _send_error(_face_of(scope, at_home), error, send)


def _match(method: str, path: str) -> tuple[Face, Route] | None:
    """Find a path with a model's name in it."""
    for face in _FACES:
        route = face.match(method, path)
        if route is not None:
            return face, route
    return None


def _client_token(told: Mapping[bytes, bytes], query: bytes) -> bytes:
    """Return the client's key from wherever its SDK puts it."""
    authorization = told.get(b"authorization")
    if authorization is not None:
        scheme, _, token = authorization.partition(b" ")
        if scheme.lower() == b"bearer":
            return token.strip()
    if (token := told.get(b"x-api-key", b"")) != b"":
        return token
    if (token := told.get(b"x-goog-api-key", b"") or _key_in(query)) != b"":
        return token
    raise InvalidKey(
        "no key was sent",
        hint='send "Authorization: Bearer ft-...", "x-api-key: ft-...", "x-goog-api-key: ft-..." or "?key=ft-...";'
        ' see "farthing keys create"',
    )


def _key_in(query: bytes) -> bytes:
    """Return the key that a client of Gemini's put into its query; empty where there is none."""
    if b"key=" in query:
        for part in query.split(b"&"):
            if part.startswith(b"key="):
                return unquote_to_bytes(part[4:])
    return b""


def _without_credentials(query: bytes) -> bytes:
    """Return the query that goes on: without any client's credential."""
    if b"key" not in query and b"token" not in query and b"%" not in query:
        return query
    parts = query.split(b"&")
    return b"&".join([part for part in parts if unquote_to_bytes(part.partition(b"=")[0]) not in _IN_QUERY])


def _face_of(scope: Scope, face: Face) -> Face:
    """Tell the faces apart where they share a path.

    Anthropic's clients always name their version, and only Gemini's put their key where those of nobody else do.
    """
    if face is _OPENAI:
        for name, _ in scope["headers"]:
            if name == b"anthropic-version":
                return _ANTHROPIC
            if name == b"x-goog-api-key":
                return _GEMINI
        if _key_in(scope["query_string"]):
            return _GEMINI
    return face


def _without_key(query: bytes, key: bytes) -> bytes:
    """Leave out what holds the client's key, whatever its name; `key=` itself goes later, it tells the face."""
    parts = query.split(b"&")
    return b"&".join(part for part in parts if part.startswith(b"key=") or key not in unquote_to_bytes(part))


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
