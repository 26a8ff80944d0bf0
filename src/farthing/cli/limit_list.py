"""`farthing limits list`: each limit, and how much of it is used now; quotas of credentials are among them."""

import os
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click
import msgspec

from farthing.cli.context import current_home, current_settings, say
from farthing.cli.tables import Column, moment, print_json, print_table, rule_title
from farthing.errors import ConfigError, StoreError
from farthing.types.money import trimmed_usd

if TYPE_CHECKING:
    from farthing.config.schema import Settings
    from farthing.ledger.limit_uses import RateUse
    from farthing.storage.limit_protocols import WindowStore
    from farthing.storage.protocols import Store
    from farthing.types.limits import Limit, Rate

T = TypeVar("T")

_KEY = re.compile(r"'(key_[^']+)'")
_MOST_BY = 5
"""The column that says by whom a limit of each is used most: there only where there is such a limit, and it is used."""


class Listed(NamedTuple):
    """What there is to show; `uses` by limit, `None` where nobody could be asked."""

    rules: "list[Limit]"
    keys: Mapping[str, str]
    """Names by id."""
    uses: "Mapping[str, Sequence[RateUse]] | None"
    more: bool


@click.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_limits(as_json: bool) -> None:  # noqa: FBT001  (click's flag)
    """List limits and quotas of credentials, and what is used of each now.

    Of a limit that gives each its own the fullest is shown.
    """
    from farthing.cli.books import read_books  # noqa: PLC0415  (opens the database; not for --help)
    from farthing.clock import SystemClock  # noqa: PLC0415
    from farthing.ledger.limit_uses import MAX_LIMITS  # noqa: PLC0415

    now_us = SystemClock().now_us()
    found = read_books(current_home(), lambda books: _listed(books.store, now_us, every=as_json))
    if as_json:
        print_json([_as_data(rule, found) for rule in found.rules])
        return
    if not found.rules:
        say("No limits yet; \"farthing limits set polite requests_per_minute=60 --key '*'\" makes one.")
        return
    columns = [Column("LIMIT", "left", 16), Column("AT MOST", "left", 16), Column("USED"), Column("LEFT")]
    columns += [Column("ALL BACK IN", "left"), Column("MOST BY", "left", 14), Column("", "left", 13)]
    rows = [row for rule in found.rules for row in _rows(rule, found, now_us)]
    if not any(row[_MOST_BY] for row in rows):
        columns, rows = _without_most_by(columns), [_without_most_by(row) for row in rows]
    print_table(columns, rows)
    if found.more:
        say(f"Only the first {MAX_LIMITS:,} limits are shown; --json has them all.")


def _without_most_by(cells: list[T]) -> list[T]:
    return [*cells[:_MOST_BY], *cells[_MOST_BY + 1 :]]


def rate_words(rate: "Rate") -> str:
    """Return it as a person would say it: `60 requests per minute`, `$2.50 per day`, `4 at once`."""
    if rate.unit == "concurrency":
        return f"{rate.amount:,} at once"
    unit, _, span = rate.word.removeprefix("usd_").rpartition("per_")
    words = unit.replace("_", " ").rstrip()
    what = f" {words.removesuffix('s') if rate.amount == 1 else words}" if words else ""
    return f"{_amount(rate, rate.amount)}{what} per {span}"


def _amount(rate: "Rate", amount: int) -> str:
    return f"${trimmed_usd(amount)}" if rate.unit == "nanousd" else f"{amount:,}"


async def _listed(store: "Store", now_us: int, *, every: bool) -> Listed:
    from farthing.cli.key_names import names_of_keys  # noqa: PLC0415  (--help must not pay for these)
    from farthing.ledger.limit_uses import MAX_LIMITS, uses_of  # noqa: PLC0415  (--help must not pay for it)

    rules = await store.limits.all() if every else await store.limits.page("", MAX_LIMITS)
    more = not every and bool(rules) and bool(await store.limits.page(rules[-1].name, 1))
    uses = None
    try:
        settings = current_settings(current_home())
        rules += await _quotas(store, settings)
        async with _windows(store, settings) as windows:
            uses = await uses_of(windows, rules, now_us=now_us)
    except (ConfigError, StoreError) as error:
        say(f"warning: what is used of limits is not known. {error}")
    words = [str(rule.target) for rule in rules]
    words += [use.subject for those in (uses or {}).values() for use in those]
    keys = await names_of_keys(store, {key_id for one in words for key_id in _KEY.findall(one)})
    return Listed(rules, keys, uses, more)


async def _quotas(store: "Store", settings: "Settings") -> "list[Limit]":
    """Return the quotas of credentials as limits; no secret is opened for it."""
    from farthing.auth.vault import Held  # noqa: PLC0415  (--help must not pay for these)
    from farthing.gateway.accounts import opened  # noqa: PLC0415
    from farthing.gateway.credential_limits import quota_rules  # noqa: PLC0415

    held = [Held(record) for record in await store.credentials.records() if record.enabled]
    of_each = (quota_rules(name, opened(one, held, os.environ)) for name, one in settings.providers.items())
    return [rule for rules in of_each for rule in rules]


@asynccontextmanager
async def _windows(store: "Store", settings: "Settings") -> "AsyncIterator[WindowStore]":
    """Open what keeps the windows: the ledger's store, or the Redis that hosts share."""
    from farthing.config.redis_place import redis_url  # noqa: PLC0415  (--help must not pay for it)

    url = redis_url(settings.storage, os.environ)
    if url is None:
        yield store.windows
        return
    from farthing.storage.redis.windows import RedisWindows  # noqa: PLC0415

    redis = RedisWindows(url)
    try:
        yield redis
    finally:
        await redis.close()


def _rows(rule: "Limit", found: Listed, now_us: int) -> list[list[str]]:
    """Return a line for each rate; the first names the limit, and what holds of all of it."""
    state = ", ".join([*([] if rule.enabled else ["off"]), *(["settings.yaml"] if rule.from_file else [])])
    title = rule_title(rule.name, _named(str(rule.target), found.keys))
    heads = [(title, state), *(("", "") for _ in rule.rates[1:])]
    return [
        [named, *_use(rule, rate, found, now_us), holds] for (named, holds), rate in zip(heads, rule.rates, strict=True)
    ]


def _use(rule: "Limit", rate: "Rate", found: Listed, now_us: int) -> list[str]:
    """Return a rate, what of it is used and left, when all of it is back, and who uses most of it."""
    from farthing.ledger.limit_windows import spell  # noqa: PLC0415  (--help must not pay for it)

    uses = [] if found.uses is None else [one for one in found.uses.get(rule.id, ()) if one.rate == rate]
    if not uses:
        used, left = ("-", "-") if found.uses is None else ("0", _amount(rate, rate.amount))
        return [rate_words(rate), used, left, "", ""]
    fullest = uses[0]
    by = _named(fullest.subject, found.keys) if "each" in str(rule.target) else ""
    back = "" if fullest.ends_us is None else spell(max(0, -(-(fullest.ends_us - now_us) // 1_000_000)))
    return [rate_words(rate), _amount(rate, fullest.used), _amount(rate, fullest.left), back, by]


def _named(text: str, keys: Mapping[str, str]) -> str:
    """Return a text about a key with its name in the place of its id."""
    return _KEY.sub(lambda found: repr(keys.get(found[1], found[1])), text)


def _as_data(rule: "Limit", found: Listed) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": rule.name,
        "target": {"calls": _named(str(rule.target), found.keys)} | msgspec.to_builtins(rule.target),
        "rates": {rate.word: _number(rate, rate.amount) for rate in rule.rates},
        "enabled": rule.enabled,
        "from_file": rule.from_file,
        "used": None if found.uses is None else [_use_as_data(one, found) for one in found.uses.get(rule.id, ())],
    }


def _use_as_data(use: "RateUse", found: Listed) -> dict[str, Any]:
    return {
        "rate": use.rate.word,
        "calls": _named(use.subject, found.keys),
        "limit": _number(use.rate, use.rate.amount),
        "used": _number(use.rate, use.used),
        "leased": _number(use.rate, use.held),
        "left": _number(use.rate, use.left),
        "resets_at": None if use.ends_us is None else moment(use.ends_us),
    }


def _number(rate: "Rate", amount: int) -> int | str:
    return trimmed_usd(amount) if rate.unit == "nanousd" else amount
