"""Budgets: what may be spent, by whom, in which time; and the words in which ledger and store speak of them.

A `Budget` is a rule. Where it says "each user", every user has an account of his own, and with every period a new one
begins: an `AccountKey` names one of those. What was spent and what is leased of it stands in the store, and a process
admits calls against what it has leased. Times are microseconds since 1970 UTC, money is nanodollars.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Literal

import msgspec

from farthing.types.calls import Attribution
from farthing.types.tenant import Tenant

Period = Literal["hour", "day", "week", "month", "total", "session"]
"""How often a budget begins anew; `session`: each session of the scope has the whole amount once."""

BudgetPolicy = Literal["hard", "soft"]
"""`hard`: nothing is sent that could pass the limit. `soft`: spending beyond it is told of, and goes on."""

BudgetHolds = Literal["estimate", "every_byte"]
"""What is held for what a call reads, where money is scarce.

`estimate`: as many tokens as the same text was reported to have, and one for each byte that is new. `every_byte`: a
token for each byte.
"""

BudgetAction = Literal["warn", "prefer_cheaper", "emergency", "local_only", "pause", "refuse"]
"""What holds from a threshold on, from the mildest to the strongest.

`warn`: answers and alerts say it. `prefer_cheaper`: routers prefer free and cheaper models. `emergency`: routers choose
the cheapest that can. `local_only`: models that cost money are refused. `pause`, `refuse`: every call that costs money
is; a paused budget goes on when somebody says so or it begins anew.
"""

EACH = "*"
"""In a scope: each value has an account of its own."""

Dimension = Literal["organisation", "team", "project", "key_id", "user", "session", "task", "tag"]
DIMENSIONS: tuple[Dimension, ...] = ("session", "task", "user", "key_id", "project", "team", "organisation", "tag")
"""The narrowest first: an account is found by the first of these that its scope names."""

_by_dimension: Callable[[object], tuple[str | None, ...]] = attrgetter(*DIMENSIONS)


class Scope(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """Which calls a rule is about: those that have all of these; `*` is any value, each for itself."""

    organisation: str | None = None
    team: str | None = None
    project: str | None = None
    key_id: str | None = None
    user: str | None = None
    session: str | None = None
    task: str | None = None
    tag: str | None = None

    def subject_of(self, attribution: Attribution) -> "Scope | None":
        """Return the scope with its `*` filled in for a call, or `None` where the call is not in it.

        For a `tag` that is `*` a call has several; see `subjects_of`.
        """
        filled: dict[str, str] = {}
        for dimension in self.named:
            wanted: str = getattr(self, dimension)
            if dimension == "tag":
                if wanted != EACH and wanted not in tags_of(attribution):
                    return None
                filled["tag"] = wanted
                continue
            value = getattr(attribution, dimension)
            if not value or (wanted not in (EACH, value)):
                return None
            filled[dimension] = value
        return Scope(**filled)

    def subjects_of(self, attribution: Attribution) -> "tuple[Scope, ...]":
        """Return every subject that a call belongs to: one, none, or one for each of its tags."""
        subject = self.subject_of(attribution)
        if subject is None:
            return ()
        if subject.tag != EACH:
            return (subject,)
        return tuple(msgspec.structs.replace(subject, tag=tag) for tag in tags_of(attribution))

    @property
    def named(self) -> tuple[Dimension, ...]:
        """The dimensions that the scope says something about, the narrowest first."""
        values = _by_dimension(self)  # a start with 100,000 budgets and limits asks each of them
        return tuple(name for name, value in zip(DIMENSIONS, values, strict=True) if value is not None)

    def __str__(self) -> str:
        """Return it in words: `team 'a', each user`."""
        parts = []
        for dimension in reversed(self.named):
            name, value = dimension.removesuffix("_id"), getattr(self, dimension)
            parts.append(f"each {name}" if value == EACH else f"{name} {value!r}")
        return ", ".join(parts) or "all calls"


def called(name: str, *, shared: bool) -> str:
    """Return how a budget is called to a client: one that others share may be named for them, so it goes unnamed."""
    return "a budget that other organisations share" if shared else f"budget {name!r}"


def with_key_name(words: str, key_id: str | None, key_name: str | None) -> str:
    """Return words about a scope with a key's name in the place of its id, which tells nobody anything."""
    return words.replace(repr(key_id), repr(key_name)) if key_id and key_name else words


def worded(subject: Scope, keys: Mapping[str, str]) -> str:
    """Return a scope in words, a key by its name."""
    return with_key_name(str(subject), subject.key_id, keys.get(subject.key_id or ""))


def tags_of(attribution: Attribution) -> tuple[str, ...]:
    """Return a call's tags, each once, in order."""
    if not attribution.tags:
        return ()
    return tuple(dict.fromkeys(tag for part in attribution.tags.split(",") if (tag := part.strip())))


class Threshold(msgspec.Struct, frozen=True, gc=False):
    """From here on `action` holds: when less than `left_percent` of the limit is left."""

    left_percent: int
    action: BudgetAction


DEFAULT_THRESHOLDS = (Threshold(25, "prefer_cheaper"), Threshold(5, "emergency"))


class Budget(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A rule about spending.

    `version` grows where scope, period, zone or reset day change: then its accounts begin anew from what the ledger
    says. `time_zone` is an IANA name; `reset_day` is 1 (Monday) to 7 for weeks and 1 to 31 for months (the last day of
    a shorter one). `grace_nanousd` may be spent beyond the limit to finish a turn that was begun (a call that goes on
    from a tool's result). `wait_s` is how long a call may wait for money that calls under way will give back.
    What `holds` says is for all that a call holds: one that belongs to a budget of every byte holds them in its other
    budgets, too.
    """

    id: str
    name: str
    scope: Scope
    limit_nanousd: int
    period: Period
    policy: BudgetPolicy = "hard"
    time_zone: str = "UTC"
    reset_day: int = 1
    thresholds: tuple[Threshold, ...] = DEFAULT_THRESHOLDS
    grace_nanousd: int = 0
    wait_s: int = 10
    holds: BudgetHolds = "estimate"
    enabled: bool = True
    from_file: bool = False
    version: int = 1
    created_at_us: int = 0
    counts_from_us: int = 0
    """Since when every call in its scope is led in an account; what the ledger had before is added up then. A `total`
    and a session count from here."""
    resumed_at_us: int | None = None
    """When somebody last said that a paused budget goes on."""
    set_by: Tenant | None = None
    """The team whose manager set it, and may change it; `None`: an admin did, a command or settings.yaml."""

    def own_of(self, key_id: str) -> bool:
        """Whether it is about this key alone, and not the file's: then it goes with the key."""
        return self.scope == Scope(key_id=key_id) and not self.from_file


class BudgetChanges(msgspec.Struct, frozen=True, kw_only=True):
    """Budgets that were put and removed since somebody looked, and the `counter` to ask from next time."""

    counter: int
    put: tuple[Budget, ...] = ()
    removed: tuple[str, ...] = ()


class AccountKey(msgspec.Struct, frozen=True):
    """One budget's account of one subject in one period."""

    budget_id: str
    version: int
    subject: Scope
    start_us: int

    @property
    def id(self) -> str:
        """The account's name in the store: the same from every process."""
        values = ",".join(f"{name}={getattr(self.subject, name)!r}" for name in self.subject.named)
        return f"{self.budget_id}/{self.version}/{self.start_us}/{values}"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """How an account stands in the store.

    `unknown_nanousd` is what calls of unknown cost were held at: they may have cost as much. `leased_nanousd` is what
    processes hold of it, for calls under way and to come. `posted + unknown + leased <= limit` is kept by whoever
    leases; only what is posted beyond its reservation, or a limit that was lowered, may break it.
    """

    key: AccountKey
    end_us: int | None
    limit_nanousd: int
    posted_nanousd: int
    unknown_nanousd: int
    leased_nanousd: int

    @property
    def spent_nanousd(self) -> int:
        """What counts as spent."""
        return self.posted_nanousd + self.unknown_nanousd

    @property
    def left_nanousd(self) -> int:
        """What is neither spent nor held; below 0 where a limit was lowered."""
        return self.limit_nanousd - self.spent_nanousd - self.leased_nanousd


class BudgetLeft(msgspec.Struct, frozen=True):
    """How much of a budget is left; below 0 where it was passed."""

    name: str
    left_nanousd: int
    limit_nanousd: int


def scarcest(spent: Iterable[tuple[Budget, int]]) -> BudgetLeft | None:
    """Return of budgets, each with what is spent of it, the one with the smallest part left; `None` where none is."""
    left = [
        BudgetLeft(one.name, one.limit_nanousd - nanousd, one.limit_nanousd) for one, nanousd in spent if one.enabled
    ]
    return min(left, key=lambda one: (one.left_nanousd * 10**9 // max(one.limit_nanousd, 1), one.name), default=None)


class LeaseAsk(msgspec.Struct, frozen=True, kw_only=True):
    """What a process wants of an account: `give` back so much, and then at least `need` and at best `wish`.

    `budget` is the rule as the process knows it; the store goes by its own. With `need` and `wish` of 0 the account is
    only looked at.
    """

    key: AccountKey
    end_us: int | None
    give_nanousd: int = 0
    """Below 0 so much more is leased, whatever is left: calls have cost it already."""
    need_nanousd: int = 0
    wish_nanousd: int = 0
    beyond_nanousd: int = 0
    """How far beyond the limit this ask may go: the budget's grace, for a turn that was begun."""
    share: int = 1
    """Of what is left at most a share of this many is granted beyond the need, so that others find something."""


class LeaseAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the store did: the account as it is afterwards, and how much was `granted`; all of `need` or nothing.

    `account` is `None` where the budget is gone, or has another version: forget what you hold of it.
    """

    account: Account | None
    granted_nanousd: int = 0
    yours_nanousd: int = 0
    """What the asking process has leased now, less what of it is posted."""
    charged_nanousd: int = 0
    """All that was ever posted of what it leased: with `yours`, all that it ever leased and did not give back."""


def grant_of(account: Account, ask: LeaseAsk) -> int:
    """Return how much of what is left an ask gets: all it needs, more where there is plenty, or nothing."""
    left = account.left_nanousd
    if ask.need_nanousd > left + ask.beyond_nanousd:
        return 0
    return max(ask.need_nanousd, min(ask.wish_nanousd, left // ask.share), 0)


def charge_of(cost_nanousd: int | None, held_nanousd: int | None) -> tuple[int, int]:
    """Return what an attempt adds to an account: (posted, unknown).

    A call of unknown cost counts as what was held for it: it may have cost that, and never more.
    """
    return (0, held_nanousd or 0) if cost_nanousd is None else (cost_nanousd, 0)


SCAN_MARGIN_US = 10_000_000
"""How long after a budget was made processes may not know it yet; ten times what they need."""


def earlier_spending(budget: Budget, key: AccountKey, end_us: int | None) -> tuple[int, int] | None:
    """Return the span of time whose calls a new account must take over from the ledger, or `None` where none is.

    A call in the scope of a rule makes the account, so before there is one there was none; but for the time when the
    rule was not there yet, or some process had not heard of it.
    """
    until_us = budget.counts_from_us + SCAN_MARGIN_US
    if end_us is not None:
        until_us = min(until_us, end_us)
    return (key.start_us, until_us) if key.start_us < until_us else None
