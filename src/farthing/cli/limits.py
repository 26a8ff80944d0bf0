"""`farthing limits`: how much may be asked for, by whom. What settings.yaml says is changed there."""

import os
from typing import Any

import click
import msgspec

from farthing.cli.budget import Usd, key_id_of, scope_options
from farthing.cli.context import current_home, say
from farthing.cli.limit_list import list_limits, rate_words
from farthing.config.schema import LIMIT_TARGET
from farthing.errors import InvalidRequest
from farthing.storage.protocols import Store
from farthing.types.budgets import EACH, with_key_name
from farthing.types.limits import RATE_WORDS, Limit, LimitTarget, Rate

_MAX_DIGITS = 15


class RateOf(click.ParamType[Rate]):
    """A rate, such as `requests_per_minute=60`; one of `none` is taken away."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Rate:
        """Return the rate, with an amount of -1 for `none`."""
        word, _, text = str(value).partition("=")
        if word not in RATE_WORDS:
            self.fail(
                f"{value!r} is no rate; one of {', '.join(RATE_WORDS)}, as in requests_per_minute=60.", param, ctx
            )
        unit, window_s = RATE_WORDS[word]
        if text == "none":
            return Rate(unit, window_s, -1)
        if unit == "nanousd":
            return Rate(unit, window_s, Usd().convert(text, param, ctx))
        if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
            self.fail(f"{value!r} says no whole number, such as {word}=60, nor {word}=none.", param, ctx)
        return Rate(unit, window_s, int(text))


@click.group()
def limits() -> None:
    """Set how much may be asked for in any minute, hour or day, and by whom."""


limits.add_command(list_limits)


@limits.command(name="set")
@click.argument("name")
@click.argument("rates", nargs=-1, type=RateOf())
@scope_options
@click.option("--provider", help='The provider that is called; "*": each for itself.')
@click.option("--credential", help="One of its credentials, by its source, such as env:NAME or vault:NAME.")
@click.option("--router", help='The router that is asked for; "*": each for itself.')
@click.option("--off/--on", "off", default=None, help="Leave it out of account, or take it in again.")
def set_limit(name: str, rates: tuple[Rate, ...], **given: Any) -> None:
    """Make a limit, or change one: what is not given stays as it is.

    RATES are such as requests_per_minute=60, tokens_per_hour=1000000, usd_per_day=2.50 or concurrency=4; one that is
    =none is taken away.
    """
    from farthing.cli.books import change_store  # noqa: PLC0415  (opens the database; not for --help)

    made, after, whose = change_store(current_home(), lambda store: _set(store, name, rates, given))
    told = ", ".join(map(rate_words, after.rates))
    say(f"{'Made' if made else 'Changed'} the limit {after.name!r} ({whose}): {told}.")
    _say_of_missing(after.target)


def _say_of_missing(target: LimitTarget) -> None:
    """Say so where a limit is about a router or a provider that there is not: it may be misspelled, or made later."""
    from farthing.cli.books import settings_that_hold  # noqa: PLC0415  (opens the database; not for --help)

    if all(one in (None, EACH) for one in (target.router, target.provider)):
        return
    settings = settings_that_hold(current_home())[0]
    for what, name, there in (
        ("router", target.router, settings.routers),
        ("provider", target.provider, settings.providers),
    ):
        if name not in (None, EACH) and name not in there:
            known = ", ".join(there) or "none"
            say(f"No {what} is called {name!r} (there are: {known}), so it is about no call until one is.")


@limits.command()
@click.argument("name")
def remove(name: str) -> None:
    """Forget a limit."""
    from farthing.cli.books import change_store  # noqa: PLC0415  (opens the database; not for --help)

    async def run(store: Store) -> None:
        await store.limits.remove((await _own(store, name)).id)

    change_store(current_home(), run)
    say(f"Removed the limit {name!r}.")


async def _set(store: Store, name: str, rates: tuple[Rate, ...], given: dict[str, Any]) -> tuple[bool, Limit, str]:
    from farthing.clock import SystemClock  # noqa: PLC0415
    from farthing.ledger.declared_limits import target_of  # noqa: PLC0415
    from farthing.ledger.limit_rules import checked  # noqa: PLC0415
    from farthing.types.identity import IdSource  # noqa: PLC0415

    before = await store.limits.found(name)
    before = before if before is not None and before.name == name else None
    told = {field: given[field] for field in LIMIT_TARGET if given[field] is not None}
    if before is None:
        limit_id = IdSource(SystemClock(), os.urandom).new("lim")
        before = Limit(id=limit_id, name=name, target=LimitTarget(), rates=())
        made = True
    else:
        _refuse_from_file(before)
        made = False
    kept = {(rate.unit, rate.window_s): rate for rate in (*before.rates, *rates)}
    target = before.target
    if told:
        key_id = await key_id_of(store, told.pop("key")) if told.get("key") not in (None, EACH) else None
        target = target_of(**told)
        if key_id is not None:  # a limit stays with a key that is renamed
            target = msgspec.structs.replace(target, scope=msgspec.structs.replace(target.scope, key_id=key_id))
    after = msgspec.structs.replace(
        before,
        target=target,
        rates=tuple(rate for rate in kept.values() if rate.amount >= 0),
        enabled=before.enabled if given["off"] is None else not given["off"],
        set_by=None,
    )
    await store.limits.put(checked(after))
    key_id = after.target.scope.key_id
    names = {record.id: record.name for record in await store.keys()}
    return made, after, with_key_name(str(after.target), key_id, names.get(key_id or ""))


async def _own(store: Store, name: str) -> Limit:
    rule = await store.limits.found(name)
    if rule is not None:
        _refuse_from_file(rule)
        return rule
    known = ", ".join(rule.name for rule in await store.limits.page("", 10)) or "none"
    raise InvalidRequest(f"Unknown limit {name!r}; there are: {known}.", hint='run "farthing limits list".')


def _refuse_from_file(rule: Limit) -> None:
    if rule.from_file:
        raise InvalidRequest(
            f"The limit {rule.name!r} stands in settings.yaml, which wins.",
            hint=f"change it there, under limits.{rule.name}.",
        )
