"""Limits and quotas of credentials: where one has no room for a call, the call is made with another one.

A quota is a limit whose rule stands beside the credential, in the settings or in the vault; its windows are shared by
all processes as those of other limits are, by the names of provider and credential. A limit of a key or a team refuses
the call; one of a credential only sends it on, by the same turns and conversations as a rest does. Only where none has
room the client is told how long to wait: until the first of them has.
"""

from collections.abc import Callable, Collection, Iterable, Mapping

import msgspec

from farthing.errors import FarthingError, RateLimited, UnpricedModel
from farthing.gateway.accounts import Account, Accounts, MayUse, Opened, Rest
from farthing.gateway.admission import Admitted
from farthing.gateway.chosen import Chosen
from farthing.gateway.limiting import Entry, Limiting
from farthing.ledger.limits import Limits
from farthing.types.credentials import NO_QUOTAS
from farthing.types.limits import RATE_WORDS, Limit, LimitTarget, Rate

QUOTA = "quota"
"""What such a limit is called."""


async def count_with_any(
    limiting: Limiting,
    accounts: Accounts,
    chosen: Chosen,
    admitted: Admitted | None,
    *,
    tried: Collection[Account],
    now_us: Callable[[], int],
) -> tuple[Chosen, Entry | None]:
    """Count a call with the credential that was chosen for it, else with another one that was not `tried` yet.

    Returns it as it is to be made, and what is held for it.

    Raises:
        CredentialsSpent: none has room now; with the time at which the first will.
        RateLimited: a limit of the caller's own is reached, or no credential has room for so much at any time.
        UnpricedModel: a limit of the caller's own, or of every credential, counts money, and nobody knows the price.
        StoreError: see `Limiting.count`.
    """
    again, alone = bool(tried) or chosen.follows, len(accounts.all) == 1
    full: dict[Account, RateLimited | UnpricedModel] = {}
    found: Account | None = chosen.account
    while found is not None:  # each credential once
        try:
            by = _by(chosen, found)
            return by, await limiting.count(by, admitted, again=again, patient=alone)
        except (RateLimited, UnpricedModel) as error:
            if not error.of_credential:
                raise
            full[found] = error
        found = accounts.instead(chosen.ref.model, chosen.attribution, now_us(), [*tried, *full])
    # Another process may give some back in a moment. One is waited for, so that a call waits once.
    elsewhere = (one for one, error in full.items() if isinstance(error, RateLimited) and error.held_elsewhere)
    awaited = next(elsewhere, None)
    if awaited is not None and not alone:
        try:
            by = _by(chosen, awaited)
            return by, await limiting.count(by, admitted, again=again)
        except RateLimited as error:
            if not error.of_credential:
                raise
            full[awaited] = error
    raise _no_room(accounts, chosen.ref.model, full, now_us())


def quota_rules(provider: str, credentials: Iterable[Opened]) -> list[Limit]:
    """Return the quotas of a provider's credentials as limits, whose windows are found by name in every process."""
    rules = []
    for one in credentials:
        if one.name is None or one.quotas == NO_QUOTAS:
            continue
        amounts = msgspec.structs.asdict(one.quotas)
        target = LimitTarget(provider=provider, credential=one.name)
        rates = tuple(Rate(*RATE_WORDS[_word(name)], amount) for name, amount in amounts.items() if amount)
        rules.append(Limit(id=f"quota:{provider}:{one.name}", name=QUOTA, target=target, rates=rates))
    return rules


def all_quotas(accounts: Mapping[str, Accounts]) -> list[Limit]:
    """Return the quotas of all credentials in use."""
    return [
        rule for name, several in accounts.items() for rule in quota_rules(name, (one.opened for one in several.all))
    ]


def may_use_by(limits: Limits) -> MayUse:
    """Return what says of a credential whether its quotas are used up, as far as this process knows."""

    def may_use(account: Account, now_us: int) -> int | None:
        assert account.opened.name is not None, "one without a name has no quotas"
        full_for_us = limits.full_for_us(account.provider.name, account.opened.name)
        return None if full_for_us is None else now_us + full_for_us

    return may_use


def _by(chosen: Chosen, account: Account) -> Chosen:
    return chosen if chosen.account is account else chosen.by(account)


def _no_room(
    accounts: Accounts, model: str, full: Mapping[Account, RateLimited | UnpricedModel], now_us: int
) -> FarthingError:
    rests = {
        one: None if error.retry_after_s is None else Rest(now_us + error.retry_after_s * 1_000_000, 429)
        for one, error in full.items()
    }
    return accounts.none_free(model, now_us, rests) or next(iter(full.values()))


def _word(quota: str) -> str:
    return quota.removeprefix("nano")
