"""Settings: what holds, where it comes from, and single values that can be changed while the gateway runs.

What the file names is the file's: a change of it is answered with the line. Other values are kept in the store.
Providers, prices and names of models have places of their own in this API.
"""

import re
from typing import Any

import msgspec

from farthing.config.load import read_tree
from farthing.config.origins import Origins, Shown
from farthing.config.problems import Problems
from farthing.config.stored import PLAIN
from farthing.errors import Conflict, NotThere
from farthing.providers.registry import known_providers
from farthing.server.admin.ask import Ask, House
from farthing.server.admin.resources.stored import forget, keep, refuse_said, tried
from farthing.server.admin.routes import ADMIN, OVERSEE, Answer, Nothing, Route
from farthing.server.admin.shown import Text


class SettingsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which settings: those at a path, such as `server` or `providers.openai`."""

    path: Text | None = None


class Setting(msgspec.Struct, frozen=True):
    """A setting that holds; what is `changeable` can be set here.

    `origin` is a line of the file, `admin-api` with who made it, the environment, or a default.
    """

    path: str
    value: str | int | float | bool
    origin: str
    changeable: bool


class LeftOut(msgspec.Struct, frozen=True):
    """What was set through this API and does not hold, and why."""

    path: str
    why: str


class SettingList(msgspec.Struct, frozen=True):
    """Settings in the order of the reference; `taken_up` says whether the file as it is now is what holds."""

    settings: tuple[Setting, ...]
    taken_up: bool
    left_out: tuple[LeftOut, ...]


class NewValue(msgspec.Struct, frozen=True):
    """What a setting should be: text, a number, or true or false."""

    value: str | int | float | bool


async def listed(ask: Ask[Nothing, SettingsQuery]) -> Answer:
    """List the settings that hold."""
    wanted, farthing = ask.query.path, ask.house.farthing
    rows = await _rows(ask.house)
    if ask.caller.role != "admin":
        rows = [row if _is_no_place(row) else Shown(row.path, HIDDEN, row.origin, HIDDEN) for row in rows]
    if wanted is not None:
        rows = [row for row in rows if row.path == wanted or row.path.startswith((f"{wanted}.", f"{wanted}["))]
    if not rows and wanted is not None:
        raise _no_setting(wanted)
    told = ask.caller.role == "admin"
    left_out = tuple(LeftOut(path, why if told else HIDDEN) for path, why in farthing.layers.problems.items())
    return Answer(SettingList(tuple(_shown(ask.house, row) for row in rows), farthing.settings_taken_up, left_out))


HIDDEN = "(for the admin)"
"""What is told in the place of what is the operator's alone."""
_PLACES = ("server.host", "server.tls", "storage.")
_NAMES_A_PLACE = re.compile(r"://|@|^(?:/|~|\.\.?/|env:|file:|vault)")


def _is_no_place(row: Shown) -> bool:
    """Whether a value names no address, file, variable or account, which are the operator's."""
    named = isinstance(row.plain, str) and _NAMES_A_PLACE.search(row.plain) is not None
    return not named and not row.path.startswith(_PLACES)


async def change(ask: Ask[NewValue, Nothing]) -> Answer:
    """Set a single value that the file does not name."""
    path = ask.params["path"]
    await _must_be_plain(ask, path)
    await keep(ask, await tried(ask, path, ask.body.value))
    return Answer(_shown(ask.house, next(row for row in await _rows(ask.house) if row.path == path)))


async def remove(ask: Ask[Nothing, Nothing]) -> Answer:
    """Take back what was set through this API; the default holds again."""
    path = ask.params["path"]
    await _must_be_plain(ask, path)
    await forget(ask, path, "setting", path)
    return Answer(None, 204)


async def _must_be_plain(ask: Ask[Any, Any], path: str) -> None:
    """See to it that it is a single value that can be changed here.

    Raises:
        Conflict: it is one that only the file has.
        NotThere: it is none.
    """
    if path in PLAIN:
        return
    row = next((row for row in await _rows(ask.house) if row.path == path), None)
    if row is None:
        raise _no_setting(path)
    refuse_said(ask, path)
    section = path.partition(".")[0]
    own = section if section in ("providers", "models", "routers", "prices", "budgets", "limits") else None
    raise Conflict(
        f"The setting {path!r} is not changed here ({row.origin}).",
        hint=f"PUT /admin/v1/{own} is the place."
        if own
        else f'"farthing config set {path} VALUE" writes it into settings.yaml.',
    )


def _shown(house: House, row: Shown) -> Setting:
    changeable = row.path in PLAIN and row.path not in house.farthing.layers.file.said.lines
    return Setting(row.path, row.plain, row.origin, changeable)


async def _rows(house: House) -> list[Shown]:
    farthing = house.farthing

    def read() -> list[Shown]:
        file = farthing.home.settings
        root = read_tree(file, Problems(str(file)))
        stored = [one for one in farthing.layers.stored if one.path not in farthing.layers.problems]
        return list(Origins(root, file.name, known_providers(), {}, stored).of(farthing.settings))

    return await farthing.reading.run(read)


def _no_setting(path: str) -> NotThere:
    return NotThere(f"Nothing holds at {path!r}.", hint="GET /admin/v1/settings lists every setting that has a value.")


ROUTES = (
    Route(
        method="GET",
        path="/settings",
        name="settings.list",
        about="List the settings that hold, with their origin.",
        roles=OVERSEE,
        handler=listed,
        query=SettingsQuery,
        gives=SettingList,
        refusals=(404,),
    ),
    Route(
        method="PUT",
        path="/settings/{path}",
        name="settings.change",
        about="Set a single value that settings.yaml does not name.",
        roles=ADMIN,
        handler=change,
        takes=NewValue,
        gives=Setting,
        refusals=(404, 409),
    ),
    Route(
        method="DELETE",
        path="/settings/{path}",
        name="settings.remove",
        about="Take back what was set so.",
        roles=ADMIN,
        handler=remove,
        gives=None,
        status=204,
        refusals=(404, 409),
    ),
)
