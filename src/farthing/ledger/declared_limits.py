"""Brings the limits of settings.yaml into the store, where every process reads them.

What the file says wins: a limit of its name that was made in another way becomes the file's, with what was used of it.
One that the file says no more is removed. Several processes may do this at once; each leaves the same.
"""

from collections.abc import Iterable, Sequence

from farthing.config.schema import LimitSettings
from farthing.storage.limit_protocols import LimitStore
from farthing.types.budgets import EACH, Scope
from farthing.types.limits import Limit, LimitTarget


async def declare_limits(store: LimitStore, there: Iterable[Limit], wanted: Sequence[LimitSettings]) -> None:
    """Make the store's limits, which are `there`, those of the file, and leave the others.

    Raises:
        StoreError: the store cannot be used; some may be changed and others not, and the next look does the rest.
    """
    known = {limit.name: limit for limit in there}
    for one in wanted:
        before = known.pop(one.name, None)
        after = _rule_of(one, f"lim_file_{one.name}" if before is None else before.id)
        if after != before:
            await store.put(after)
    for limit in known.values():
        if limit.from_file:
            await store.remove(limit.id)


def target_of(
    *,
    key: str | None = None,
    provider: str | None = None,
    credential: str | None = None,
    router: str | None = None,
    **scope: str | None,
) -> LimitTarget:
    """Return which calls a limit is about, by the names that people give."""
    each_key = key == EACH
    return LimitTarget(
        scope=Scope(**scope, key_id=EACH if each_key else None),
        key_name=None if each_key else key,
        provider=provider,
        credential=credential,
        router=router,
    )


def _rule_of(one: LimitSettings, limit_id: str) -> Limit:
    target = target_of(
        key=one.key,
        provider=one.provider,
        credential=one.credential,
        router=one.router,
        organisation=one.organisation,
        team=one.team,
        project=one.project,
        user=one.user,
        session=one.session,
        task=one.task,
        tag=one.tag,
    )
    return Limit(id=limit_id, name=one.name, target=target, rates=one.rates, from_file=True)
