"""Describes the admin API as OpenAPI 3.1, from its routes and their types; nothing is said twice.

JSON Schema comes from the types themselves, so what is described is what is read and written.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from farthing import __version__
from farthing.server.admin.api import PREFIX, ErrorAnswer
from farthing.server.admin.routes import Nothing, Route
from farthing.server.admin.words import EXAMPLES, described

_REF = "#/components/schemas/{name}"
_ALWAYS = {
    400: "what was sent cannot be read",
    401: "no token, or none that counts",
    403: "the token's role may not, or what is asked for is another team's",
    413: "the body is over the bound",
    415: "the body is compressed",
    422: "members are wrong; each is named",
    503: "the store cannot be used now",
}
_ELSE = {404: "there is no such thing", 409: "a name is taken, or settings.yaml owns it"}


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """Return the whole document."""
    kinds: list[Any] = [ErrorAnswer]
    for route in routes:
        kinds += [kind for kind in (route.takes, route.gives) if kind is not Nothing and kind is not None]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    for name, component in components.items():
        for member, schema in component.get("properties", {}).items():
            if (words := described(name, member)) is not None:
                schema.setdefault("description", words)
    known = {id(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = PREFIX if route.path == "/" else PREFIX + route.path
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, known)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Farthing's admin API",
            "version": __version__,
            "description": "The same paths are served below /admin. Amounts are exact: dollars as text, nanodollars as"
            " whole numbers.",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, known: Mapping[int, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.about,
        "tags": [route.parts[0] or "house"],
        "x-roles": list(route.roles),
        "responses": dict(_responses(route, known)),
    }
    parameters = [*_in_path(route), *_in_query(route.query)]
    if parameters:
        found["parameters"] = parameters
    if route.takes is not Nothing:
        required = any(field.required for field in msgspec.structs.fields(route.takes))
        content = _json(known[id(route.takes)])
        if route.name in EXAMPLES:
            content["application/json"]["example"] = EXAMPLES[route.name]
        found["requestBody"] = {"required": required, "content": content}
    return found


def _responses(route: Route, known: Mapping[int, Any]) -> Iterable[tuple[str, Any]]:
    answer: dict[str, Any] = {"description": route.about}
    if route.gives is not None:
        kind = "text/event-stream" if route.streams else "application/json"
        schema = {"type": "string"} if route.streams else known[id(route.gives)]
        answer["content"] = {kind: {"schema": schema}}
    yield str(route.status), answer
    error = _json(known[id(ErrorAnswer)])
    for status in sorted({*_ALWAYS, *route.refusals}):
        yield str(status), {"description": (_ALWAYS | _ELSE)[status], "content": error}


def _in_path(route: Route) -> Iterable[dict[str, Any]]:
    for part in route.parts:
        if part.startswith("{"):
            yield {"name": part[1:-1], "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _in_query(kind: type[msgspec.Struct]) -> Iterable[dict[str, Any]]:
    for field in msgspec.structs.fields(kind):
        schema = msgspec.json.schema(field.type)
        schema.pop("$defs", None)
        if "anyOf" in schema:  # a query has no null: what is not given is left out
            some = [one for one in schema["anyOf"] if one != {"type": "null"}]
            schema = some[0] if len(some) == 1 else {"anyOf": some}
        words = described(kind.__name__, field.encode_name)
        told = {} if words is None else {"description": words}
        yield {"name": field.encode_name, "in": "query", "required": field.required, "schema": schema, **told}


def _json(schema: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
