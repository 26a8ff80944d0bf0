"""One window as a process sees it, and what a call takes of several at once.

The lease is what may be used without asking; the ring is what this process used, dated, to tell the store and to take
back from. Here nothing waits: what must is in `limits.py`. Two limits cost a call 3 us in all.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from farthing.types.budgets import with_key_name
from farthing.types.calls import Attribution
from farthing.types.limits import (
    CONCURRENCY,
    INPUT_TOKENS,
    NANOUSD,
    REQUESTS,
    TOKENS,
    TRIES,
    UNITS,
    Rate,
    Units,
    WindowAnswer,
    WindowAsk,
)
from farthing.types.money import usd_text
from farthing.types.windows import Ring, fits_at, leaves_us, sub_window_us

if TYPE_CHECKING:
    from farthing.ledger.limits import Limits

SPARE_PART = 16
"""What is leased ahead of calls, of the limit: so much counts as used when a process is killed."""
_US = 1_000_000
_NEVER_US = 1 << 62
_ONE_EACH = (REQUESTS, TRIES)
_LONG_AGO_S = float("-inf")
Actual = tuple[int | None, int | None, int | None, int | None, int | None, None, int | None]
"""How much a call used of each unit; `None` where that is not known, or not told so."""


class LiveWindow:
    """A window of one limit and one subject."""

    __slots__ = (
        "_begun",
        "_begun_us",
        "_corrected",
        "_counts",
        "_told",
        "about",
        "about_left",
        "away",
        "base",
        "base_sub_window",
        "dirty",
        "foreign",
        "frees",
        "fresh",
        "heard",
        "holders",
        "id",
        "lease",
        "left",
        "limit",
        "name",
        "of_credential",
        "of_provider",
        "others",
        "pace",
        "rate",
        "ring",
        "rule",
        "short_until_s",
        "subject",
        "taken",
        "touched",
        "turns_us",
        "under_way",
        "unit",
        "until_s",
        "used_s",
        "waiting",
        "wanted_until_s",
    )

    def __init__(
        self,
        window_id: str,
        rule: str,
        name: str,
        rate: Rate,
        subject: str,
        *,
        of_credential: bool = False,
        of_provider: bool = False,
    ) -> None:
        """`of_credential`: it is about what calls are made with, and clients are not told what is left of it.

        Its requests are tries upstream, of which a call may have several; so are those of a limit `of_provider`, which
        is about whom calls go to.
        """
        self.id = window_id
        self.rule = rule
        """The limit and the rate that it is of."""
        self.name = name
        self.subject = subject
        self.of_credential = of_credential
        self.of_provider = of_provider
        counts_tries = (of_credential or of_provider) and rate.unit == "requests"
        self.unit = TRIES if counts_tries else UNITS.index(rate.unit)
        self.ring = Ring(max(1, rate.window_s * _US))
        self.lease = 0
        self.until_s = float("-inf")
        """Until when what is leased may be used, on the loop's clock."""
        self.turns_us = 0
        self.about: tuple[bytes, ...] = ()
        """The lines that tell a client of it, all but the one of how much is left."""
        self.about_left = b"%d"
        """That one, to be filled in."""
        self._begun = self._begun_us = 0
        self.fresh = self._corrected = 0
        """What was taken and corrected in the sub-window that is counted in now, and is not in the ring yet."""
        self._counts = self.ring.counts
        self.dirty: set[int] = set()
        """Sub-windows of which the store is to be told; at most as many as the ring has."""
        self.touched = False
        self.taken = self.pace = 0
        """What was taken since the store was told, and before that, fading."""
        self.under_way = 0
        """Calls that hold tokens or money of it, and may use less."""
        self.used_s = 0.0
        self.waiting: list[int] = []
        """What each call that waits would take."""
        self.others = self.left = 0
        self.holders = 1
        self.frees: tuple[tuple[int, int], ...] = ()
        self.short_until_s = float("-inf")
        self.wanted_until_s = float("-inf")
        self.heard = False
        self.away = False
        self.base = self.base_sub_window = self.foreign = self._told = 0
        self.apply(rate)

    @property
    def slides(self) -> bool:
        """Whether it is a window; else it is what is under way."""
        return self.unit != CONCURRENCY

    @property
    def in_use(self) -> int:
        """Of concurrency: how much is under way here."""
        return 0 if self.slides else self._counts.get(0, 0) + self.fresh + self._corrected

    @property
    def untold(self) -> bool:
        """Whether there is something that the store was not told."""
        return bool(self.dirty or self.fresh or self._corrected)

    def apply(self, rate: Rate) -> None:
        """Go by a rule, new or changed; what is leased by the old one is asked for again."""
        self.rate, self.limit = rate, rate.amount
        self.until_s = float("-inf")
        self.short_until_s = float("-inf")
        self.turns_us = 0  # what clients are told of it is made anew

    # ---- what a call does

    def correct(self, at_us: int, by: int) -> None:
        """Count more, or less, of what was used at a time; nothing where that has left the window."""
        if at_us >= self._begun_us:
            self._corrected += by
        else:
            sub_window = at_us // self.ring.sub_us
            if sub_window not in self._counts:
                return
            self._counts[sub_window] += by
            self.dirty.add(sub_window)
        if by < 0:
            self.short_until_s = _LONG_AGO_S
        else:  # more was used than was held; what is leased pays for it
            self.lease = max(0, self.lease - by)

    def give_slot(self, amount: int) -> None:
        """Give back what was under way."""
        self._corrected -= amount
        self.lease += amount

    def lacks(self, amount: int, now_s: float) -> bool:
        """Whether so much may not be used without asking."""
        return amount > self.lease or now_s >= self.until_s

    def surely_lacks(self, amount: int, now_s: float) -> bool:
        """Whether the store said a moment ago that there is not so much."""
        return now_s < self.short_until_s and amount > self.lease + self.left

    @property
    def remaining(self) -> int:
        """How much is left as far as is known here; calls in other processes may have used some of it since."""
        return max(0, self.lease + self.left)

    @property
    def may_get_back(self) -> bool:
        """Whether waiting may help: others have leased some, or calls under way hold more than they will use."""
        return self.others > 0 or self.under_way > 0

    def fits_at_us(self, amount: int, now_us: int) -> int:
        """Return the earliest moment at which so much will fit, as far as is known; it is not more than the limit.

        What others have leased, and what was used since the store was asked, counts as used now.
        """
        if not self.slides:
            return now_us + _US  # nobody knows when a call under way will end
        window_us = self.ring.window_us
        last = (leaves_us(now_us // self.ring.sub_us, window_us), self.limit)
        found = fits_at(amount, self.lease + max(0, self.left), (*self.frees, last), now_us)
        return last[0] if found is None else found

    def _fold(self) -> None:
        """Put into the ring what calls did since that was done; each would pay for it if each did it."""
        if self.fresh or self._corrected:
            self._counts[self._begun] = self._counts.get(self._begun, 0) + self.fresh + self._corrected
            self.dirty.add(self._begun)
            self.taken += self.fresh
            self.fresh = self._corrected = 0

    def _forget(self, now_us: int) -> None:
        current = now_us // self.ring.sub_us
        self.ring.forget(now_us)
        if self._begun > current:  # the store's clock was set back: what was dated by it counts as now
            self.turns_us = 0
            self.dirty.add(current)

    def turn(self, now_us: int) -> None:
        """Begin the next sub-window."""
        self._fold()
        if not self.slides:
            self._begun, self.turns_us = 0, _NEVER_US
            return
        sub_us, window_us = self.ring.sub_us, self.ring.window_us
        self._begun = now_us // sub_us
        self._begun_us = self._begun * sub_us
        self.turns_us = self._begun_us + sub_us
        kind = b"requests" if self.unit in (REQUESTS, TRIES) else b"tokens"
        whole_s = -(-(leaves_us(self._begun, window_us) - now_us) // _US)
        self.about = (
            b"x-ratelimit-limit-%b: %d" % (kind, self.limit),
            b"x-ratelimit-reset-%b: %b" % (kind, spell(whole_s).encode()),
        )
        self.about_left = b"x-ratelimit-remaining-%b: %%d" % kind

    # ---- what the store is told and says

    def ask(self, now_s: float, now_us: int, *, share: int, idle: bool) -> WindowAsk:
        """Tell what was used, and ask for what is wanted; what is given back may not be used from now on."""
        self._fold()
        taken, self.taken = self.taken, 0
        self.pace = max(taken, self.pace // 2)
        if now_s >= self.until_s:
            self.lease = 0
        waiting, self.waiting = self.waiting, []
        wanted = now_s < self.wanted_until_s
        ahead = 0 if idle or wanted else min(max(self.limit // SPARE_PART, 2 * self.pace), self.limit // share)
        keep = 0 if waiting or idle else min(self.lease, taken if wanted else max(ahead, self.pace))
        self.lease = keep
        if self.slides:
            self._forget(now_us)
        else:
            self.dirty.add(0)
            self._counts.setdefault(0, 0)
        self._told = sum(self._counts.values())
        counts = tuple((one, self._counts[one]) for one in sorted(self.dirty) if one in self._counts)
        return WindowAsk(
            window=self.id,
            window_us=self.rate.window_s * _US,
            limit=self.limit,
            counts=counts,
            keep=keep,
            need=min(waiting, default=0),
            want=sum(waiting),
            spare=max(0, ahead - keep),
            share=share,
        )

    def note(self, ask: WindowAsk, answer: WindowAnswer, *, now_s: float, now_us: int, until_s: float) -> None:
        """Take over what the store said; what was used while it was asked is told next time."""
        self.dirty.difference_update(one for one, told in ask.counts if self._counts.get(one, told) == told)
        self.lease += answer.held - ask.keep
        if self.slides and answer.used < self._told:  # the store has lost what it was told
            self.dirty.update(self._counts)
        self.until_s = until_s
        self.others, self.holders = answer.others, answer.holders
        self.left = ask.limit - answer.used - answer.others - answer.held
        self.frees, self.foreign = answer.frees, max(0, answer.used - self._told)
        self.heard, self.away = True, False
        self.base, self.base_sub_window = answer.held, now_us // self.ring.sub_us
        if answer.wanted:
            self.wanted_until_s = now_s + 2.0
        if answer.held - ask.keep < max(ask.need, ask.want):
            next_s = (answer.frees[0][0] - now_us) / _US if answer.frees else _LOOK_AGAIN_S
            self.short_until_s = now_s + min(_LOOK_AGAIN_S if answer.others else _SURE_S, max(next_s, 0.0))

    def fall_back(self, now_s: float, now_us: int, *, away_s: float, alone: bool, lease_s: float) -> None:
        """Go on without the store, which is away since `away_s`; see `limits.py`."""
        self.away = True
        self._fold()
        self.waiting.clear()
        if not self.heard:
            self.short_until_s = now_s + _AWAY_S
            return
        settled_s = away_s + lease_s + self.rate.window_s + sub_window_us(self.ring.window_us) / _US
        since = 0
        if alone:
            share = self.limit - (self.foreign if now_s < settled_s else 0)
        elif now_s < settled_s:
            share, since = self.base, self.base_sub_window
        else:
            share = self.limit // self.holders
        used = self.ring.used(now_us, since) if self.slides else self.in_use
        self.short_until_s = now_s + _AWAY_S
        self.lease, self.left, self.others, self.frees = max(0, share - used), 0, 0, self.ring.frees(now_us)
        self.until_s = now_s + _AWAY_S


_LOOK_AGAIN_S = 0.05
"""How long the store's word that nothing is left is taken for true, where others may give something back."""
_SURE_S = 0.5
"""The same where nobody can."""
_AWAY_S = 0.25
"""How long is gone on without the store before it is tried again."""


class Taking:
    """What the calls of one attribution are counted in."""

    __slots__ = (
        "_held",
        "_key",
        "_limits",
        "_plain",
        "_tokens",
        "_told",
        "counts_money",
        "counts_tokens",
        "returning",
        "windows",
    )

    def __init__(self, limits: "Limits", windows: Sequence[LiveWindow], attribution: Attribution) -> None:
        self._limits = limits
        self._key = attribution.key_id, attribution.key_name
        self.windows = tuple(sorted(windows, key=lambda one: one.of_credential))
        """The caller's own first: what they refuse, no other credential would let in."""
        self._tokens = [one for one in windows if REQUESTS < one.unit <= TOKENS]
        told = [one for one in windows if not one.of_credential]
        self._told = ([one for one in told if one.unit in _ONE_EACH], [one for one in told if one in self._tokens])
        self._plain = [kind[0] for kind in self._told if kind] if all(len(kind) < 2 for kind in self._told) else []
        self._held = [one for one in windows if INPUT_TOKENS <= one.unit <= NANOUSD]
        self.returning = tuple(one for one in windows if one.unit not in _ONE_EACH)
        """Those of which a call gives back what it did not use: of requests there is nothing to correct."""
        self.counts_tokens = bool(self._tokens)
        self.counts_money = next((one for one in self.windows if one.unit == NANOUSD), None)
        """The first window that counts money."""

    def words_for(self, window: LiveWindow) -> str:
        """Return whose window it is, a key by its name."""
        return with_key_name(window.subject, *self._key)

    def take(self, units: Units) -> int | None:
        """Take what a call may use of every window, or nothing; `None` where the store has to be asked.

        Returns the time at which it counts, for the `LimitHold` that gives it back.
        """
        limits = self._limits
        now_s = limits.now_s()
        now_us = int(now_s * 1e6) + limits.ahead_us
        for window in self.windows:
            amount = units[window.unit]
            if amount > window.lease or now_s >= window.until_s:
                self._take_back(units, window)
                return None
            if now_us >= window.turns_us:
                window.turn(now_us)
            window.lease -= amount
            window.fresh += amount
            if not window.touched:
                window.touched = True
                limits.touched.append(window)
        for window in self._held:
            window.under_way += 1
        return now_us

    def _take_back(self, units: Units, until: LiveWindow) -> None:
        """Give back what was taken of the windows before one that lacks it."""
        for window in self.windows:
            if window is until:
                return
            window.lease += units[window.unit]
            window.fresh -= units[window.unit]

    def has_plenty(self, tokens: int) -> bool:
        """Whether there is more than that in every window of tokens, of what is leased."""
        for one in self._tokens:  # noqa: SIM110 - every long request passes here, and a generator takes twice as long
            if one.lease <= tokens:
                return False
        return True

    def room_for_answer(self, input_tokens: int) -> int:
        """Return how many tokens of answer would fit into an empty window, beside so many that are read."""
        rooms = [
            one.limit - (input_tokens if one.unit == TOKENS else 0) for one in self._tokens if one.unit != INPUT_TOKENS
        ]
        return max(1, min(rooms, default=1 << 40))

    def headers(self, now_us: int) -> list[bytes]:
        """Return the lines that tell a client how much is left: of the scarcest window of requests, and of tokens."""
        lines: list[bytes] = []
        for one in self._plain or [min(kind, key=_scarcity) for kind in self._told if kind]:
            if now_us >= one.turns_us:
                one.turn(now_us)
            lines += one.about
            lines.append(one.about_left % max(0, one.lease + one.left))
        return lines

    def touch(self, window: LiveWindow) -> None:
        """Have the store told of it with the next look."""
        if not window.touched:
            window.touched = True
            self._limits.touched.append(window)


def _scarcity(window: LiveWindow) -> float:
    return window.remaining / max(1, window.limit)


class LimitHold(msgspec.Struct, eq=False):
    """What a call has taken, until it is settled."""

    taking: Taking
    units: Units
    counted_us: int
    open: bool = True

    def settle(self, input_tokens: int | None, output_tokens: int | None, nanousd: int | None) -> None:
        """Count what the call used in the place of what it might; where that is unknown it stays. Once is enough."""
        tokens = None if input_tokens is None or output_tokens is None else input_tokens + output_tokens
        self._end(self.taking.returning, (None, input_tokens, output_tokens, tokens, nanousd, None, None))

    def void(self) -> None:
        """Give all of it back: there was no call."""
        self._end(self.taking.windows, (0, 0, 0, 0, 0, None, 0))

    def _end(self, windows: Sequence[LiveWindow], actual: Actual) -> None:
        if not self.open:
            return
        self.open = False
        units, taking = self.units, self.taking
        for window in windows:
            unit = window.unit
            if unit == CONCURRENCY:
                window.give_slot(units[CONCURRENCY])
                taking.touch(window)
                continue
            if unit not in _ONE_EACH:
                window.under_way -= 1
            used = actual[unit]
            if used is not None and used != units[unit]:
                window.correct(self.counted_us, used - units[unit])
                if not window.touched:
                    taking.touch(window)


def spell(seconds: int) -> str:
    """Return a time as OpenAI writes it: `1m0s`, `6h12m0s`, `17s`."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{rest}s"


def amount_text(unit: int, amount: int) -> str:
    """Return an amount in words: `60 requests`, `$0.25`, `3 calls at once`."""
    if unit == NANOUSD:
        return f"${usd_text(amount).rstrip('0').rstrip('.')}"
    if unit == CONCURRENCY:
        return f"{amount:,} {'call' if amount == 1 else 'calls'} at once"
    words = "requests" if unit == TRIES else UNITS[unit].replace("_", " ")
    return f"{amount:,} {words.removesuffix('s') if amount == 1 else words}"
