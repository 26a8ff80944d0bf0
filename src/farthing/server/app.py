"""From an HTTP request to a face and back: the hot routes.

Whatever is not hot (health, pages, unknown paths) goes to `pages`, which may use a framework. Every path has an auth
decision here: a face's path needs a client key, and only what `pages` declares public needs none.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from urllib.parse import unquote, unquote_to_bytes

from farthing.auth.key_ring import KeyRing
from farthing.auth.known_keys import NOT_NOW
from farthing.errors import (
    Draining,
    FaceNotAllowed,
    FarthingError,
    InvalidKey,
    MethodNotAllowed,
    NotServed,
    RouteNotFound,
    in_public,
)
from farthing.gateway.call import Reply, Request
from farthing.gateway.gateway import Gateway
from farthing.gateway.headers import RequestHeaders
from farthing.server.exchange import Exchange
from farthing.server.faces.anthropic import AnthropicFace
from farthing.server.faces.gemini import GeminiFace
from farthing.server.faces.ollama import OllamaFace
from farthing.server.faces.openai import OpenAIFace, ResponsesFace
from farthing.server.faces.protocol import Face, Route
from farthing.server.heads import MAX_LINES_BYTES
from farthing.server.listener import CUT, Application, Rendered
from farthing.types.principal import KeyRules, Principal
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
_JSON = (b"content-type: application/json",)
_MAX_FOUND = 1024
"""Paths with a model's name in them whose route is remembered: finding one costs 3 us, and a house has a few dozen."""
_LONGEST_FOUND = 256
"""Bytes of a path that is remembered, before any key is looked at; the longest listed model's name has 94."""


class HotApp:
    """The application in front of everything."""

    def __init__(self, *, gateway: Gateway, keys: KeyRing, pages: Application) -> None:
        self._gateway = gateway
        self._keys = keys
        self._pages = pages
        self.errors: Counter[tuple[int, str]] = Counter()
        """Requests answered with an error of our own, by status and code: as many as there are kinds of errors."""
        self._found: dict[tuple[bytes, bytes], tuple[Face, Route]] = {
            (method.encode(), path.encode()): found for (method, path), found in _ROUTES.items()
        }

    def render(self, url: bytes, named: Mapping[bytes, bytes], error: FarthingError) -> Rendered:
        """Return what tells a client of an error that came before its request was whole; see `Listener`."""
        target, _, query = url.partition(b"?")
        path, _ = _path_and_key(target)
        found = _ROUTES.get(("POST", path)) or _match("POST", path)
        face = _AT_HOME.get(path[1:].partition("/")[0], _OPENAI) if found is None else found[0]
        rendered = _rendered(_face_of(named, query, face), error)
        self._note("a request that was not whole", rendered[0], error)
        return rendered

    def knows(self, url: bytes, named: Mapping[bytes, bytes]) -> bool:
        """Return whether a key that counts came with this URL and these headers; see `Listener`."""
        target, _, query = url.partition(b"?")
        try:
            self._keys.verify(_path_and_key(target)[1] or _client_token(named, query))
        except InvalidKey:
            return False
        return True

    async def __call__(self, exchange: Exchange) -> None:
        """Serve one request."""
        token: str | None = None
        found = self._found.get((exchange.method, exchange.target))
        if found is None:
            exchange.target = _origin_form(exchange.target)
            path, token = _path_and_key(exchange.target)
            found = self._find(exchange, path, remember=token is None)
            if found is None:
                await self._no_route(exchange, path, keyed=token is not None)
                return
        face, route = found
        try:
            head = exchange.peer.head
            if (
                head is not None
                and token is None
                and head.is_repeated(exchange.headers)
                and not exchange.query
                and (owner := self._keys.owner(head.digest)) is not None
            ):
                headers, principal = RequestHeaders.known(head.lines, exchange.named), owner
            else:
                headers, principal = await self._understood(exchange, token)
            exchange.whose = principal.key_id
            if principal.rules is not None and principal.rules.faces:
                _refuse_face(_face_of(exchange.named, exchange.query, face), principal.rules)
            match route.action:
                case "list_models" | "show_model":
                    meant = _face_of(exchange.named, exchange.query, face)
                    await self._show_models(meant, route, exchange, principal)
                case "fixed":
                    exchange.respond(200, _JSON, route.fixed)
                case operation:
                    request = Request(
                        face.name,
                        route.wire,
                        operation,
                        route.model,
                        route.streamed,
                        route.streams_by_default,
                        _without_credentials(exchange.query) if exchange.query else b"",
                        headers,
                        exchange.take_body(),
                        principal,
                        exchange,
                    )
                    try:
                        reply = await self._gateway.call(request)
                    except asyncio.CancelledError as cancelled:
                        if cancelled.args != CUT:
                            raise
                        raise _stopping() from None
                    if reply.stream is not None:
                        await _send_stream(reply, exchange)
                    elif reply.refusal is not None:
                        _send_refusal(face, reply, exchange)
                    else:
                        exchange.respond(reply.status, reply.lines, reply.body)
        except FarthingError as error:
            self._send_error(_face_of(exchange.named, exchange.query, face), error, exchange)

    async def _understood(self, exchange: Exchange, token: str | None) -> tuple[RequestHeaders, Principal]:
        """Return what of a head goes on, and whose key came with it, or as `token` in its path."""
        headers = RequestHeaders(exchange.headers, exchange.named)
        told = _client_token(exchange.named, exchange.query) if token is None else token
        try:
            principal = self._keys.verify(told)
        except NOT_NOW:
            principal = await self._keys.look_again(told)
        key = told if isinstance(told, bytes) else told.encode()
        headers.hide(key)
        if exchange.query:
            exchange.query = _without_key(exchange.query, key)
        elif token is None and len(headers.lines) <= MAX_LINES_BYTES:
            exchange.peer.remember(exchange, self._keys.hasher.digest(key), headers.lines)
        return headers, principal

    def _send_error(self, face: Face, error: FarthingError, exchange: Exchange, *more: bytes) -> None:
        status, lines, body = _rendered(face, error)
        self._note(exchange.method.decode("latin-1"), status, error)
        exchange.respond(status, [*lines, *more], body)

    def _note(self, what: str, status: int, error: FarthingError) -> None:
        self.errors[status, error.code] += 1
        log.info("%s is answered with %d %s: %s", what, status, error.code, error.message)

    def _find(self, exchange: Exchange, path: str, *, remember: bool) -> tuple[Face, Route] | None:
        method = exchange.method.decode("latin-1")
        found = _ROUTES.get((method, path)) or _match(method, path)
        if found is not None and remember and len(exchange.target) <= _LONGEST_FOUND:
            if len(self._found) >= len(_ROUTES) + _MAX_FOUND:
                self._found.clear()  # known paths are found again the longer way
            self._found[exchange.method, exchange.target] = found
        return found

    async def _show_models(self, face: Face, route: Route, exchange: Exchange, principal: Principal) -> None:
        # The shared path is routed as OpenAI's; the face that was meant knows its own format.
        wire = _WIRES.get(face.name, route.wire)
        if route.action == "show_model":
            assert route.model is not None
            body = face.render_model(await self._gateway.model(route.model, wire, principal))
        else:
            body = face.render_models(await self._gateway.models(wire, principal))
        exchange.respond(200, _JSON, body)

    async def _no_route(self, exchange: Exchange, path: str, *, keyed: bool) -> None:
        if path in ("", "/"):  # public; `ollama` knocks there first, and its address has a key in it
            exchange.target = b"/"
            await self._pages(exchange)
            return
        if not keyed and not path.startswith(_BEGINNINGS) and path not in _METHODS:
            await self._pages(exchange)
            return
        error: FarthingError
        more: tuple[bytes, ...] = ()
        asked = f"{exchange.method.decode('latin-1')} {path}"
        at_home = _AT_HOME.get(path[1:].partition("/")[0], _OPENAI)
        outside = [face for face in _FACES if path.startswith(face.not_served) or asked.startswith(face.not_served)]
        if outside:
            at_home = outside[0]
            error = NotServed(f"{asked} is outside what Farthing serves", hint="call the provider itself for it")
        elif path in _METHODS:
            error = MethodNotAllowed(f"{asked} is not a method here", hint=f"use {_METHODS[path]}")
            more = (b"allow: " + _METHODS[path].encode(),)
        else:
            known = ", ".join(sorted(_METHODS))
            error = RouteNotFound(f"there is nothing at {path}", hint=f"known paths: {known}")
        self._send_error(_face_of(exchange.named, exchange.query, at_home), error, exchange, *more)


def _origin_form(target: bytes) -> bytes:
    """Return the path of a target that names us as well, as clients send it that take us for their proxy."""
    if target.startswith((b"http://", b"https://")):
        return b"/" + target.split(b"/", 3)[3] if target.count(b"/") > 2 else b"/"
    return target


def _path_and_key(target: bytes) -> tuple[str, str | None]:
    """Return the path that is meant, and the key where the client put one in front of it."""
    path = unquote(target.decode("ascii", "replace"))
    if not path.startswith(_KEY_PATH):
        return path, None
    key, slash, rest = path[len(_KEY_PATH) :].partition("/")
    return slash + rest, key


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
        hint='send "Authorization: Bearer ft-...", "x-api-key: ft-..." or "x-goog-api-key: ft-...", or put it into the'
        ' address: "http://HOST:PORT/k/ft-.../"; see "farthing keys create"',
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


def _face_of(named: Mapping[bytes, bytes], query: bytes, face: Face) -> Face:
    """Tell the faces apart where they share a path.

    Anthropic's clients always name their version, and only Gemini's put their key where those of nobody else do.
    """
    if face is _OPENAI:
        if b"anthropic-version" in named:
            return _ANTHROPIC
        if b"x-goog-api-key" in named or _key_in(query):
            return _GEMINI
    return face


def _refuse_face(face: Face, rules: KeyRules) -> None:
    if face.name not in rules.faces:
        raise FaceNotAllowed(
            f"This key is for clients of {', '.join(rules.faces)}, not of {face.name}.",
            hint='use another key; the operator makes one: "farthing keys create".',
        )


def _without_key(query: bytes, key: bytes) -> bytes:
    """Leave out what holds the client's key, whatever its name; `key=` itself goes later, it tells the face."""
    parts = query.split(b"&")
    return b"&".join(part for part in parts if part.startswith(b"key=") or key not in unquote_to_bytes(part))


def _send_refusal(face: Face, reply: Reply, exchange: Exchange) -> None:
    refusal = reply.refusal
    assert refusal is not None
    lines = [line for line in reply.lines if not line.startswith(b"content-type:")]
    lines += _JSON
    exchange.respond(reply.status, lines, face.render_refusal(refusal.status, refusal.code, refusal.message))


async def _send_stream(reply: Reply, exchange: Exchange) -> None:
    stream = reply.stream
    assert stream is not None
    try:
        exchange.begin(reply.status, reply.lines)
        await exchange.send(stream.held(), more=True)
        while not stream.over:
            data = await stream.next(exchange.push)
            await exchange.send(data, more=not stream.over)
    except asyncio.CancelledError as cancelled:
        if cancelled.args != CUT:
            raise
        await exchange.send(stream.stop(_stopping()), more=False)
    except Exception:
        log.exception("an error nobody expected in a stream")
        broken = FarthingError("the gateway failed in the middle of this answer", hint="tell the operator")
        await exchange.send(stream.stop(broken), more=False)
    finally:
        if not stream.over:
            stream.stop()


def _rendered(face: Face, error: FarthingError) -> Rendered:
    status, headers, body = face.render(in_public(error))
    lines = [b"%b: %b" % header for header in headers]
    if error.call_id is not None:
        call_id = error.call_id.encode()
        lines += (b"x-farthing-call-id: " + call_id, b"x-request-id: " + call_id)
    return status, lines, body


def _stopping() -> Draining:
    return Draining("the gateway is stopping and this answer took too long", hint="try again", retry_after_s=1)
