"""Limits: how much may be asked for in any minute, hour or day, by whom; and the words for it between ledger and store.

A `Limit` is a rule. Where it says "each key", every key has windows of its own; a `WindowAsk` names one of them. What
was used in a window stands in the store, dated, and a process lets calls in from what it has leased of it: what is used
and what is leased together are never more than the limit. Times are microseconds since 1970 UTC, money is nanodollars.
"""

from typing import Literal

import msgspec

from farthing.types.budgets import EACH, Scope
from farthing.types.calls import Attribution
from farthing.types.tenant import Tenant

LimitUnit = Literal["requests", "input_tokens", "output_tokens", "tokens", "nanousd", "concurrency"]
UNITS: tuple[LimitUnit, ...] = ("requests", "input_tokens", "output_tokens", "tokens", "nanousd", "concurrency")
"""In the order in which `Units` holds them."""
REQUESTS, INPUT_TOKENS, OUTPUT_TOKENS, TOKENS, NANOUSD, CONCURRENCY, TRIES = range(len(UNITS) + 1)

Units = tuple[int, int, int, int, int, int, int]
"""How much a call takes of each unit; at last the tries upstream, which are what a credential's requests are."""

SPANS_S = {"minute": 60, "hour": 3_600, "day": 86_400}


class Rate(msgspec.Struct, frozen=True, gc=False):
    """At most `amount` of a unit in any `window_s` seconds; for `concurrency` at any time, and `window_s` is 0."""

    unit: LimitUnit
    window_s: int
    amount: int

    @property
    def word(self) -> str:
        """Its name in the settings: `tokens_per_minute`, `usd_per_day`, `concurrency`."""
        if self.unit == "concurrency":
            return "concurrency"
        span = next(name for name, seconds in SPANS_S.items() if seconds == self.window_s)
        return f"{'usd' if self.unit == 'nanousd' else self.unit}_per_{span}"


RATE_WORDS: dict[str, tuple[LimitUnit, int]] = {
    Rate(unit, seconds, 0).word: (unit, seconds) for unit in UNITS[:CONCURRENCY] for seconds in SPANS_S.values()
} | {"concurrency": ("concurrency", 0)}
"""What may be limited, by its name in the settings."""


class LimitTarget(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """Which calls a limit is about: those that have all of these; `*` is any value, each for itself."""

    scope: Scope = Scope()
    key_name: str | None = None
    """A key by the name that it has now."""
    provider: str | None = None
    credential: str | None = None
    """One of a provider's credentials, by its name."""
    router: str | None = None

    def subjects_of(
        self, attribution: Attribution, provider: str, credential: str | None, router: str | None
    ) -> tuple[str, ...]:
        """Return in words every subject that a call belongs to: one, none, or one for each of its tags."""
        parts = []
        for name, wanted, value in (
            ("key", self.key_name, attribution.key_name),
            ("provider", self.provider, provider),
            ("credential", self.credential, credential),
            ("router", self.router, router),
        ):
            if wanted is None:
                continue
            if not value or wanted not in (EACH, value):
                return ()
            parts.append(f"{name} {value!r}")
        scopes = self.scope.subjects_of(attribution)
        named = [[str(scope)] if scope.named else [] for scope in scopes]
        return tuple(", ".join([*first, *parts]) or "all calls" for first in named)

    def __str__(self) -> str:
        """Return it in words: `each key, provider 'openai'`."""
        parts = [str(self.scope)] if self.scope.named else []
        for name in ("key_name", "provider", "credential", "router"):
            value = getattr(self, name)
            if value is not None:
                word = name.removesuffix("_name")
                parts.append(f"each {word}" if value == EACH else f"{word} {value!r}")
        return ", ".join(parts) or "all calls"


class Limit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A rule: `rates` hold for the calls of `target`, all of them at once."""

    id: str
    name: str
    target: LimitTarget
    rates: tuple[Rate, ...]
    enabled: bool = True
    from_file: bool = False
    set_by: Tenant | None = None
    """The team whose manager set it, and may change it; `None`: an admin did, a command or settings.yaml."""

    def own_of(self, key_id: str) -> bool:
        """Whether it is about this key alone, and not the file's: then it goes with the key."""
        return self.target == LimitTarget(scope=Scope(key_id=key_id)) and not self.from_file


class LimitChanges(msgspec.Struct, frozen=True, kw_only=True):
    """Limits that were put and removed since somebody looked, and the `counter` to ask from next time."""

    counter: int
    put: tuple[Limit, ...] = ()
    removed: tuple[str, ...] = ()


class WindowAsk(msgspec.Struct, frozen=True, kw_only=True):
    """What a process tells of a window and wants of it; told twice it changes nothing, because all of it is absolute.

    `counts` is what this process used in each sub-window that changed since it was last told; a window of 0 us counts
    what is under way, in sub-window 0. `keep` stays leased of what was leased before. Beyond that at least `need` is
    asked for, all or nothing; `want` is what all the calls that wait would take, and of what is then left at most one
    part in `share` is leased as `spare`.
    """

    window: str
    window_us: int
    limit: int
    counts: tuple[tuple[int, int], ...] = ()
    keep: int = 0
    need: int = 0
    want: int = 0
    spare: int = 0
    share: int = 1


class WindowAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A window as it is after an ask.

    `held` is what is leased to the process now. `used` is dated, or under way, of all processes; `others` is leased to
    them. Where not all that was wanted could be leased, `frees` tells when how much of what is used will leave the
    window, in order. `wanted`: another process was refused of late. `holders` are the processes that lease from it.
    """

    held: int
    used: int
    others: int
    wanted: bool = False
    holders: int = 1
    frees: tuple[tuple[int, int], ...] = ()


class Exchanged(msgspec.Struct, frozen=True):
    """The answers to asks, in their order, and what time it was for the store."""

    now_us: int
    answers: tuple[WindowAnswer, ...]


class WindowUse(msgspec.Struct, frozen=True, kw_only=True):
    """What counts in a window now; `held` is leased beside it, and may yet be used or come back.

    `ends_us` is when nothing of what is used will count any more; `None` where nobody knows, or nothing is used.
    """

    window: str
    used: int
    held: int
    ends_us: int | None


def by_use(use: WindowUse) -> tuple[int, str]:
    """Return what windows are put in order by: the fullest comes first."""
    return -use.used - use.held, use.window


def name_of_rule(limit: Limit, rate: Rate) -> str:
    """Return what the windows of one of a limit's rates have in common; it stays when the amount is changed."""
    return f"{limit.id}/{rate.unit}/{rate.window_s}"


def name_of_window(rule: str, subject: str) -> str:
    """Return the name of the window that a subject has by a rule."""
    return f"{rule}|{subject}"


def subject_in(window: str) -> tuple[str, str]:
    """Return the rule and the subject that a window's name is made of."""
    rule, _, subject = window.partition("|")
    return rule, subject


def bounds_of_windows(rule: str) -> tuple[str, str]:
    """Return the names between which those of a rule's windows are, the first inside and the last beyond."""
    return f"{rule}|", f"{rule}}}"


def grant_of(ask: WindowAsk, used: int, others: int) -> int:
    """Return how much beyond `keep` an ask gets: what is needed, and more where there is plenty; or nothing."""
    left = ask.limit - used - others - ask.keep
    if left <= 0 or ask.need > left:
        return 0
    wanted = min(max(ask.want, ask.need), left)
    return wanted + min(ask.spare, (left - wanted) // ask.share)


WANTED_US = 2_000_000
"""How long others are told that somebody was refused: four times the interval at which they look."""
