"""Settings: what holds, and where it comes from. They are the file's; here they are shown.

A change is answered with the place where it is made: `farthing config set`, or the line of settings.yaml.
"""

from typing import Any

import msgspec

from farthing.config.load import read_tree
from farthing.config.origins import Origins, Shown
from farthing.config.problems import Problems
from farthing.errors import Conflict, NotThere
from farthing.providers.registry import known_providers
from farthing.server.admin.ask import Ask, House
from farthing.server.admin.routes import ADMIN, OVERSEE, Answer, Nothing, Route
from farthing.server.admin.shown import Text


class SettingsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which settings: those at a path, such as `server` or `providers.openai`."""

    path: Text | None = None


class Setting(msgspec.Struct, frozen=True):
    """A setting that holds; `origin` is a line of the file, the environment, or a default."""

    path: str
    value: str | int | float | bool
    origin: str


class SettingList(msgspec.Struct, frozen=True):
    """Settings in the order of the reference; `taken_up` says whether the file as it is now is what holds."""

    settings: tuple[Setting, ...]
    taken_up: bool


class NewValue(msgspec.Struct, frozen=True):
    """What a setting should be."""

    value: Any = None


async def listed(ask: Ask[Nothing, SettingsQuery]) -> Answer:
    """List the settings that hold."""
    wanted = ask.query.path
    rows = await _rows(ask.house)
    if wanted is not None:
        rows = [row for row in rows if row.path == wanted or row.path.startswith((f"{wanted}.", f"{wanted}["))]
    if not rows and wanted is not None:
        raise _no_setting(wanted)
    shown = tuple(Setting(row.path, row.plain, row.origin) for row in rows)
    return Answer(SettingList(shown, ask.house.farthing.settings_taken_up))


async def change(ask: Ask[NewValue, Nothing]) -> Answer:
    """Refuse to change a setting, and say where it is changed."""
    path = ask.params["path"]
    row = next((row for row in await _rows(ask.house) if row.path == path), None)
    if row is None:
        raise _no_setting(path)
    raise Conflict(
        f"The setting {path!r} is the file's ({row.origin}).",
        hint=f'"farthing config set {path} VALUE" changes it, and the gateway takes it up within a second.',
    )


async def _rows(house: House) -> list[Shown]:
    farthing = house.farthing

    def read() -> list[Shown]:
        file = farthing.home.settings
        root = read_tree(file, Problems(str(file)))
        return list(Origins(root, file.name, known_providers(), {}).of(farthing.settings))

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
        about="Tell where a setting is changed: all of them are the file's.",
        roles=ADMIN,
        handler=change,
        takes=NewValue,
        gives=Setting,
        refusals=(404, 409),
    ),
)
