"""How settings are changed through the admin API: kept in the store beside the file, and what the file names stays its.

A change is tried before it is kept: it is read by the rules of the file, together with everything else that holds.
Nothing is kept that does not hold, or that would have something else hold no more. It holds in this process when the
answer is out, and in the others a moment later.
"""

from typing import Any

from farthing.config.stored import MAX_STORED
from farthing.errors import Conflict, FarthingError, Problem, WrongFields
from farthing.gateway.layers import Layers
from farthing.server.admin.ask import Ask, not_there
from farthing.types.settings import StoredSetting


def refuse_said(ask: Ask[Any, Any], path: str) -> None:
    """See to it that the file does not name what is to be changed.

    Raises:
        Conflict: it does; the message says file and line.
    """
    farthing = ask.house.farthing
    line = farthing.layers.file.said.lines.get(path)
    if line is not None:
        raise Conflict(
            f"settings.yaml names {path!r} in line {line}, and the file wins.",
            hint=f"change it there: {farthing.home.settings}.",
        )


async def tried(ask: Ask[Any, Any], path: str, value: Any) -> StoredSetting:
    """Return a setting as it would be kept, having seen to it that it can be.

    Raises:
        Conflict: the file names it, there are too many, or something else would hold no more.
        WrongFields: it cannot be so.
    """
    refuse_said(ask, path)
    layers = await _layers(ask)
    others = [one for one in layers.stored if one.path != path]
    if len(others) >= MAX_STORED:
        raise Conflict(f"{MAX_STORED} settings are kept already, which is the bound.", hint="remove one.")
    made = StoredSetting(path=path, value=value, changed_at_us=ask.house.now_us(), changed_by=ask.caller.name)
    problems = await _problems(ask, layers, [*others, made])
    if path in problems:
        raise WrongFields([Problem(path, problems[path])])
    _refuse_breaking(layers, problems)
    return made


async def keep(ask: Ask[Any, Any], made: StoredSetting) -> None:
    """Keep a setting that was tried, and have it hold.

    Raises:
        FarthingError: it does not hold, and is not kept.
    """
    farthing, store = ask.house.farthing, ask.house.store.settings
    before = _kept(farthing.layers, made.path)
    ask.note(made.path, before=_shown(before), after=_shown(made))
    await store.put(made)
    try:
        await farthing.look_into_settings()
    except FarthingError:
        await (store.remove(made.path) if before is None else store.put(before))
        raise


async def forget(ask: Ask[Any, Any], path: str, what: str, name: str) -> None:
    """Forget a setting, and have that hold.

    Raises:
        NotThere: there is none.
        Conflict: it is the file's, or something else needs it.
    """
    refuse_said(ask, path)
    layers = await _layers(ask)
    before = _kept(layers, path)
    if before is None:
        raise not_there(what, name)
    rest = [one for one in layers.stored if one.path != path]
    _refuse_breaking(layers, await _problems(ask, layers, rest))
    ask.note(path, before=_shown(before))
    await ask.house.store.settings.remove(path)
    await ask.house.farthing.look_into_settings()


async def _layers(ask: Ask[Any, Any]) -> Layers:
    farthing = ask.house.farthing
    await farthing.look_into_settings()  # another process may have changed them just now
    return farthing.layers


async def _problems(ask: Ask[Any, Any], layers: Layers, stored: list[StoredSetting]) -> dict[str, str]:
    file = layers.file
    found = await ask.house.farthing.reading.run(lambda: layers.tried(file, stored))
    return found.problems


def _refuse_breaking(layers: Layers, problems: dict[str, str]) -> None:
    broken = {path: why for path, why in problems.items() if path not in layers.problems}
    if broken:
        path, why = next(iter(broken.items()))
        raise Conflict(f"{path} would hold no more: {why}", hint="change or remove that one first.")


def _kept(layers: Layers, path: str) -> StoredSetting | None:
    return next((one for one in layers.stored if one.path == path), None)


def _shown(setting: StoredSetting | None) -> dict[str, Any] | None:
    """Return it for the audit log; no secret is ever in one."""
    return None if setting is None else {"value": setting.value}
