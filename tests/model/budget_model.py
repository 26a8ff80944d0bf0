"""What budgets must do, said a second time: no lease, no store, no cache, and not a line of the product.

Everything is added up anew, from all calls there ever were, whenever it is asked. A call belongs to an account where
its attribution is in the account's subject and it began in the account's period. It counts there from the moment it is
held there; one that was never held there (it was under way when the rule was made or changed) counts once it is posted.
Times are microseconds since 1970 UTC, money is nanodollars.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

QUARTER_S = 900
"""Clocks are changed, and days begin, on quarters of an hour."""
PART = 4
"""A call without a limit holds at most this part of the room there is."""
Who = tuple[tuple[str, str], ...]
Account = tuple[str, int, Who, int]
"""Budget, version, subject, beginning."""


@dataclass(frozen=True)
class Rule:
    """A budget."""

    id: str
    limit: int
    scope: Who = ()
    period: str = "total"
    zone: str = "UTC"
    reset_day: int = 1
    hard: bool = True
    blocks_below_percent: int = 0
    """Calls are refused when less than so much is left; 0 is no threshold."""
    grace: int = 0
    version: int = 1
    counts_from_us: int = 0
    enabled: bool = True


@dataclass
class Call:
    """One attempt, from the moment it is held on."""

    who: Who
    started_us: int
    accounts: tuple[Account, ...]
    held: int
    house: int = 0
    charge: int | None = None
    """What it counts as, once it is over."""
    unknown: bool = False
    posted: bool = False


@dataclass(frozen=True)
class Verdict:
    """`refuse` at once, `wait` for what others give back, or `admit` with `held`, and at most with `room`."""

    kind: str
    held: int = 0
    room: int = 0
    sure: bool = True
    """Where it is not, a soft budget may refuse, or not yet."""


@dataclass
class Model:
    """All rules and all calls."""

    rules: dict[str, Rule] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    # ---- what a call is told

    def verdict(self, who: Who, now_us: int, least: int, most: int, *, goes_on: bool = False) -> Verdict:
        """Say what happens to a call that must hold `least` and may cost `most`, in one process that knows all."""
        rooms, left_sure = [], True
        for rule, account in self.accounts_of(who, now_us):
            left = rule.limit - self.spent(account)
            if left * 100 < rule.blocks_below_percent * rule.limit:
                if rule.hard:
                    return Verdict("refuse")
                left_sure = False  # soft budgets learn of spending when it is posted
            if rule.hard:
                grace = rule.grace if goes_on else 0
                rooms.append((left + grace, left + grace - self.held(account), left - self.held(account)))
        if any(least > not_spent for not_spent, _, _ in rooms):
            return Verdict("refuse", sure=left_sure)
        if any(least > free for _, free, _ in rooms):
            return Verdict("wait", sure=left_sure)
        part = min((room for _, _, room in rooms), default=1 << 60) // PART
        room = min((free for _, free, _ in rooms), default=1 << 60)
        return Verdict("admit", min(most, max(least, part)), room, sure=left_sure)

    def accounts_of(self, who: Who, now_us: int) -> list[tuple[Rule, Account]]:
        """Return the accounts that a call made now belongs to."""
        found = []
        for rule in self.rules.values():
            if rule.enabled:
                start_us, _ = span_of(rule, now_us)
                found += [(rule, (rule.id, rule.version, one, start_us)) for one in subjects_of(rule, who)]
        return found

    # ---- what stands in an account

    def spent(self, account: Account) -> int:
        """What counts as spent: all that was posted, and what is known of calls that were held there."""
        return sum(
            call.charge
            for call in self.calls
            if call.charge is not None and self.belongs(call, account) and (call.posted or account in call.accounts)
        )

    def held(self, account: Account, *, but_house: int | None = None) -> int:
        """What calls under way hold."""
        under_way = [call for call in self.calls if call.charge is None and account in call.accounts]
        return sum(call.held for call in under_way if call.house != but_house)

    def posted(self, account: Account) -> tuple[int, int]:
        """What the store must have charged: posted, and of unknown cost."""
        mine = [call for call in self.calls if call.posted and self.belongs(call, account)]
        known = sum(call.charge or 0 for call in mine if not call.unknown)
        return known, sum(call.charge or 0 for call in mine if call.unknown)

    def beyond(self, account: Account) -> int:
        """How far the account may be beyond its limit: what cost more than was held for it, or was not held here."""
        mine = [call for call in self.calls if self.belongs(call, account) and call.charge is not None]
        more = sum(max(0, (call.charge or 0) - call.held) for call in mine if account in call.accounts)
        return more + sum(call.charge or 0 for call in mine if account not in call.accounts)

    def belongs(self, call: Call, account: Account) -> bool:
        """Whether a call counts in an account."""
        rule = self.rules.get(account[0])
        if rule is None or rule.version != account[1] or account[2] not in subjects_of(rule, call.who):
            return False
        start_us, end_us = account[3], span_of(rule, account[3])[1]
        return start_us <= call.started_us and (end_us is None or call.started_us < end_us)

    # ---- what is done to rules

    def change(self, rule_id: str, now_us: int, **changes: object) -> None:
        """Change a rule: where its accounts are others from now on it is another version."""
        before = self.rules[rule_id]
        after = replace(before, **changes)  # type: ignore[arg-type]
        anew = any(getattr(before, name) != getattr(after, name) for name in ("scope", "period", "zone", "reset_day"))
        if anew or (after.enabled and not before.enabled):
            after = replace(after, version=before.version + anew, counts_from_us=now_us)
        self.rules[rule_id] = after


def subjects_of(rule: Rule, who: Who) -> list[Who]:
    """Return those that the rule has an account for, of a call by `who`: pairs, of which `tag` may come repeatedly."""
    wanted = dict(rule.scope)
    if rule.period == "session":
        wanted.setdefault("session", "*")
    subjects: list[Who] = [()]
    for name, value in sorted(wanted.items()):
        has = dict.fromkeys(own for key, own in who if key == name)
        fitting = [own for own in has if value in ("*", own)]
        subjects = [(*subject, (name, own)) for subject in subjects for own in fitting]
    return subjects


def span_of(rule: Rule, at_us: int) -> tuple[int, int | None]:
    """Return when the rule's period around a moment begins, and the first moment after it."""
    if rule.period in ("total", "session"):
        return rule.counts_from_us // 1_000_000 * 1_000_000, None
    quarter = at_us // 1_000_000 // QUARTER_S
    first, after = _quarters(rule.period, rule.zone, rule.reset_day, quarter)
    return first * QUARTER_S * 1_000_000, after * QUARTER_S * 1_000_000


@lru_cache(maxsize=4_096)
def _quarters(period: str, zone: str, reset_day: int, quarter: int) -> tuple[int, int]:
    """Walk both ways until the calendar on the wall shows another period."""
    shown = _shown(period, zone, reset_day, quarter)
    first = after = quarter
    while _shown(period, zone, reset_day, first - 1) == shown:
        first -= 1
    while _shown(period, zone, reset_day, after) == shown:
        after += 1
    return first, after


@lru_cache(maxsize=65_536)
def _shown(period: str, zone: str, reset_day: int, quarter: int) -> object:
    local = datetime.fromtimestamp(quarter * QUARTER_S, UTC).astimezone(ZoneInfo(zone))
    if period == "hour":
        return local.date(), local.hour, local.utcoffset()
    day = local.date()
    while not _is_reset(period, day, reset_day):
        day -= timedelta(days=1)
    return day


def _is_reset(period: str, day: date, reset_day: int) -> bool:
    if period == "day":
        return True
    if period == "week":
        return day.isoweekday() == reset_day
    last_of_month = (day + timedelta(days=1)).month != day.month
    return day.day == reset_day or (last_of_month and day.day < reset_day)
