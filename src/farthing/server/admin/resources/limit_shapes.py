"""What is sent to make or change a limit, and how one is shown."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from farthing.ledger.limit_rules import MAX_AMOUNT
from farthing.ledger.limit_uses import RateUse
from farthing.server.admin.reading import Usd
from farthing.server.admin.resources.budget_shapes import ScopeShape, SetBy
from farthing.server.admin.shown import Name, Text, nanousd_of, time_of
from farthing.types.budgets import Scope
from farthing.types.limits import RATE_WORDS, Limit, LimitTarget, Rate
from farthing.types.money import usd_text

Amount = Annotated[int, Meta(ge=0, le=MAX_AMOUNT)]


class RateShape(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """At most so much in any minute, hour or day; `concurrency` at any time."""

    requests_per_minute: Amount | None = None
    requests_per_hour: Amount | None = None
    requests_per_day: Amount | None = None
    input_tokens_per_minute: Amount | None = None
    input_tokens_per_hour: Amount | None = None
    input_tokens_per_day: Amount | None = None
    output_tokens_per_minute: Amount | None = None
    output_tokens_per_hour: Amount | None = None
    output_tokens_per_day: Amount | None = None
    tokens_per_minute: Amount | None = None
    tokens_per_hour: Amount | None = None
    tokens_per_day: Amount | None = None
    usd_per_minute: Usd | None = None
    usd_per_hour: Usd | None = None
    usd_per_day: Usd | None = None
    concurrency: Amount | None = None

    def rates(self) -> tuple[Rate, ...]:
        """Return what is said as the ledger has it."""
        found = []
        for word, (unit, window_s) in RATE_WORDS.items():
            value = getattr(self, word)
            if value is not None:
                found.append(Rate(unit, window_s, nanousd_of(value) if unit == "nanousd" else value))
        return tuple(found)


assert set(RateShape.__struct_fields__) == set(RATE_WORDS), "a rate is missing"


class RatesShown(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The rates that a limit has; dollars as exact text."""

    requests_per_minute: int | None = None
    requests_per_hour: int | None = None
    requests_per_day: int | None = None
    input_tokens_per_minute: int | None = None
    input_tokens_per_hour: int | None = None
    input_tokens_per_day: int | None = None
    output_tokens_per_minute: int | None = None
    output_tokens_per_hour: int | None = None
    output_tokens_per_day: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_hour: int | None = None
    tokens_per_day: int | None = None
    usd_per_minute: str | None = None
    usd_per_hour: str | None = None
    usd_per_day: str | None = None
    concurrency: int | None = None


class TargetShape(ScopeShape, frozen=True, kw_only=True, omit_defaults=True):
    """Which calls are meant: those that have all of these; `*` is any value, each for itself.

    `key_name` is a key by its name of now, as settings.yaml says it.
    """

    key_name: Text | None = None
    provider: Text | None = None
    credential: Text | None = None
    router: Text | None = None

    def target(self) -> LimitTarget:
        """Return it as the ledger has it."""
        scope = Scope(**{name: getattr(self, name) for name in Scope.__struct_fields__})
        beside = {name: getattr(self, name) for name in ("key_name", "provider", "credential", "router")}
        return LimitTarget(scope=scope, **beside)


class NewLimit(msgspec.Struct, frozen=True, kw_only=True):
    """A limit to be made; without a target it is about all calls together."""

    name: Name
    rates: RateShape
    target: TargetShape | None = None
    enabled: bool = True


class LimitChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be changed of a limit; what is left out stays. `rates` are all that it has then."""

    name: Name | UnsetType = UNSET
    rates: RateShape | UnsetType = UNSET
    target: TargetShape | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class LimitUse(msgspec.Struct, frozen=True, kw_only=True):
    """What is used of a rate now, by the `calls` that share it; of `usd` all is in nanodollars.

    `leased` is with processes beside it, and may yet be used or come back; what was used in the last half second counts
    there still. Nothing of what is used counts any more at `resets_at`; `null` where nobody knows when.
    """

    rate: str
    calls: str
    limit: int
    used: int
    leased: int
    left: int
    resets_at: datetime | None


class LimitShown(msgspec.Struct, frozen=True, kw_only=True):
    """A limit; one that is `from_file` is changed in settings.yaml.

    `used` has the fullest five windows of each rate, those of which anything is used; `null` where nobody can say.
    """

    id: str
    name: str
    target: TargetShape
    rates: RatesShown
    enabled: bool
    from_file: bool
    set_by: SetBy
    used: tuple[LimitUse, ...] | None = None


class LimitPage(msgspec.Struct, frozen=True):
    """Limits by name; `next` is the `after` of the next page, `null` on the last one."""

    limits: tuple[LimitShown, ...]
    next: str | None


def limit_of(limit: Limit, uses: Iterable[RateUse] | None = None) -> LimitShown:
    """Return a limit as it is shown, with what is used of it where that was asked."""
    target = limit.target
    rates: dict[str, Any] = {
        rate.word: usd_text(rate.amount) if rate.unit == "nanousd" else rate.amount for rate in limit.rates
    }
    return LimitShown(
        id=limit.id,
        name=limit.name,
        target=TargetShape(
            key_name=target.key_name,
            provider=target.provider,
            credential=target.credential,
            router=target.router,
            **msgspec.structs.asdict(target.scope),
        ),
        rates=RatesShown(**rates),
        enabled=limit.enabled,
        from_file=limit.from_file,
        set_by="admin" if limit.set_by is None else "manager",
        used=None if uses is None else tuple(map(_use_of, uses)),
    )


def _use_of(use: RateUse) -> LimitUse:
    return LimitUse(
        rate=use.rate.word,
        calls=use.subject,
        limit=use.rate.amount,
        used=use.used,
        leased=use.held,
        left=use.left,
        resets_at=time_of(use.ends_us),
    )
