"""The limits that there are, and which of them a call belongs to.

With a hundred thousand keys that have one each, a call's limits are found
by its key, and only limits that name no key are asked one by one. Quotas of credentials are limits as well; they stand
beside the credentials and not in the store, so each process is told of them by whoever reads those.
"""

from collections.abc import Iterable, Iterator, Sequence

from farthing.config.credentials import one_credential
from farthing.errors import InvalidRequest
from farthing.types.budgets import EACH
from farthing.types.calls import Attribution
from farthing.types.limits import RATE_WORDS, Limit, LimitChanges, Rate

MAX_AMOUNT = 10**15
"""A million dollars, or more tokens than all providers write in a day; sums of a window stay far below 64 bits."""
MAX_NAME_CHARS = 64
_OF_THE_KEY = ("key_id", "team", "organisation")
"""What a client cannot say anew with every call."""


class LimitBook:
    """The limits as the store has them."""

    def __init__(self) -> None:
        self.counter = 0
        self._stored: dict[str, Limit] = {}
        self._by_key: dict[str, list[Limit]] = {}
        self._others: list[Limit] = []
        self._quotas: dict[tuple[str | None, str | None], list[Limit]] = {}
        """By provider and credential."""
        self.plain = True
        """Whether a call's key alone decides which limits it belongs to, beside where it goes."""

    @property
    def empty(self) -> bool:
        """Whether there is no limit at all, so that no call need be looked at."""
        return not (self._by_key or self._others or self._quotas)

    @property
    def stored(self) -> Iterable[Limit]:
        """Those that the store has."""
        return self._stored.values()

    def __iter__(self) -> Iterator[Limit]:
        yield from self._stored.values()
        for quotas in self._quotas.values():
            yield from quotas

    def learn(self, changes: LimitChanges) -> bool:
        """Take over what was changed in the store; return whether anything was."""
        self.counter = changes.counter
        for limit_id in changes.removed:
            self._stored.pop(limit_id, None)
        self._stored |= {limit.id: limit for limit in changes.put}
        if changes.removed or changes.put:
            self._sort()
        return bool(changes.removed or changes.put)

    def rates_of(
        self, attribution: Attribution, provider: str, credential: str | None, router: str | None
    ) -> Iterator[tuple[Limit, Rate, str]]:
        """Yield every rate that a call is counted in, with its limit and whose window it is."""
        of_key = self._by_key.get(attribution.key_id, ())
        of_name = self._by_key.get(f"name {attribution.key_name}", ())
        for limit in (*of_key, *of_name, *self._others):
            for subject in limit.target.subjects_of(attribution, provider, credential, router):
                for rate in limit.rates:
                    yield limit, rate, subject
        yield from self.quotas_of(provider, credential)

    def set_quotas(self, quotas: Sequence[Limit]) -> bool:
        """Put these in the place of the quotas that there were; return whether they are others."""
        found: dict[tuple[str | None, str | None], list[Limit]] = {}
        for quota in quotas:
            found.setdefault((quota.target.provider, quota.target.credential), []).append(quota)
        before, self._quotas = self._quotas, found
        return before != found

    def quotas_of(self, provider: str, credential: str | None) -> Iterator[tuple[Limit, Rate, str]]:
        """Yield every rate of a credential's quotas, with the quota and whose window it is."""
        for quota in self._quotas.get((provider, credential), ()):
            for rate in quota.rates:
                yield quota, rate, str(quota.target)

    def _sort(self) -> None:
        self._by_key, self._others, self.plain = {}, [], True
        for limit in self._stored.values():
            if not limit.enabled:
                continue
            target = limit.target
            key = target.scope.key_id or (f"name {target.key_name}" if target.key_name else None)
            each = EACH in (target.scope.key_id, target.key_name)
            (self._others if key is None or each else self._by_key.setdefault(key, [])).append(limit)
            self.plain = self.plain and all(name in _OF_THE_KEY for name in target.scope.named)


def checked(limit: Limit) -> Limit:
    """Return the limit as it is, once everything in it is known to hold.

    Raises:
        InvalidRequest: something does not; it names the value and what is allowed.
    """
    name = limit.name
    if not 1 <= len(name) <= MAX_NAME_CHARS or not name.isprintable() or name != name.strip():
        raise InvalidRequest(
            f"{name[:MAX_NAME_CHARS]!r} is no name for a limit.",
            hint=f"a name is 1 to {MAX_NAME_CHARS} printable characters without spaces around it.",
        )
    if limit.target.credential not in (None, EACH):
        try:
            one_credential(limit.target.credential)
        except ValueError as error:
            raise InvalidRequest(f"The credential of limit {name!r} {error}") from None
    if not limit.rates:
        raise InvalidRequest(f"Limit {name!r} limits nothing.", hint=f"give it one of: {', '.join(RATE_WORDS)}.")
    for rate in limit.rates:
        if not 0 <= rate.amount <= MAX_AMOUNT:
            raise InvalidRequest(f"{rate.word} of limit {name!r} is {rate.amount}.", hint=f"from 0 to {MAX_AMOUNT}.")
    return limit
