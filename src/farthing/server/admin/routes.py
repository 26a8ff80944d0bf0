"""What a route of the admin API is: a path, who may use it, what it takes and gives; and how one is found.

A route cannot be made without saying who may use it. The table of all of them is what the server, the OpenAPI document
and the tests go by.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from farthing.types.admin import Role

if TYPE_CHECKING:
    from farthing.server.admin.ask import Ask

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

READ: tuple[Role, ...] = ("admin", "manager", "viewer")
"""Everybody who is known; who is bound to a team sees what is the team's."""
MANAGE: tuple[Role, ...] = ("admin", "manager")
"""Who may change things; a manager those of the team."""
OVERSEE: tuple[Role, ...] = ("admin", "viewer")
"""What is nobody's team's: the house as a whole."""
ADMIN: tuple[Role, ...] = ("admin",)


class Nothing(msgspec.Struct, frozen=True):
    """No members."""


class Answer(msgspec.Struct, frozen=True):
    """What is sent back: a struct that becomes JSON, or a stream of events."""

    content: Any = None
    status: int = 200
    stream: AsyncGenerator[bytes, None] | None = None


Handler = Callable[["Ask[Any, Any]"], Awaitable[Answer]]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One operation. `path` is what follows `/admin/v1`, with names in braces for one part each."""

    method: Method
    path: str
    name: str
    about: str
    roles: tuple[Role, ...]
    handler: Handler
    gives: Any
    """The type of the content of its answer; `None` where there is no content."""
    takes: type[msgspec.Struct] = Nothing
    query: type[msgspec.Struct] = Nothing
    status: int = 200
    refusals: tuple[int, ...] = ()
    """Statuses beyond those that every route may answer with."""
    streams: bool = False

    @property
    def changes(self) -> bool:
        """Whether it changes anything, and is written down."""
        return self.method != "GET"

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the path."""
        return tuple(self.path.strip("/").split("/"))


class Found(msgspec.Struct, frozen=True):
    """A route, and what stands in the place of the names in its path."""

    route: Route
    params: Mapping[str, str]


class Table:
    """Every route; what stands literally wins over what is named."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._by_length: dict[int, list[Route]] = {}
        for route in sorted(self.routes, key=lambda one: [part.startswith("{") for part in one.parts]):
            self._by_length.setdefault(len(route.parts), []).append(route)

    def find(self, method: str, path: str) -> Found | tuple[str, ...]:
        """Return the route of a path below `/admin/v1`; else the methods that the path has, which may be none."""
        parts = tuple(path.strip("/").split("/"))
        methods: list[str] = []
        for route in self._by_length.get(len(parts), ()):
            params = _fitting(route.parts, parts)
            if params is None:
                continue
            if route.method == method:
                return Found(route, params)
            methods.append(route.method)
        return tuple(dict.fromkeys(methods))


def _fitting(wanted: Sequence[str], parts: Sequence[str]) -> dict[str, str] | None:
    params: dict[str, str] = {}
    for want, part in zip(wanted, parts, strict=True):
        if want.startswith("{"):
            if not part:
                return None
            params[want[1:-1]] = part
        elif want != part:
            return None
    return params
