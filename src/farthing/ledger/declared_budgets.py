"""Brings the budgets of settings.yaml into the store, where every process reads them.

What the file says wins: a budget of its name that was made in another way becomes the file's, with what it has spent.
One that the file says no more is removed. Several processes may do this at once; each leaves the same.
"""

import logging
from collections.abc import Iterable, Sequence

from farthing.config.schema import BudgetSettings
from farthing.errors import InvalidRequest
from farthing.ledger.budget_rules import changed, checked
from farthing.storage.protocols import Store
from farthing.types.budgets import EACH, Budget, Scope, Threshold

log = logging.getLogger(__name__)


async def declare_budgets(
    store: Store, there: Iterable[Budget], wanted: Sequence[BudgetSettings], now_us: int
) -> list[str]:
    """Make the store's budgets, which are `there`, those of the file; return what is wrong, in sentences.

    The others stay.

    Raises:
        StoreError: the store cannot be used; some may be changed and others not, and the next look does the rest.
    """
    known = {budget.name: budget for budget in there}
    key_ids = await _key_ids(store, wanted)
    problems = []
    for one in wanted:
        try:
            rule = _rule_of(one, key_ids, now_us)
            await _put(store, known.pop(one.name, None), rule, now_us)
        except InvalidRequest as error:
            problems.append(f"{one.origin}: {error.message}")
            log.error("%s: %s", one.origin, error)  # noqa: TRY400 - it is about the file
    for budget in known.values():
        if budget.from_file:
            await store.budgets.remove(budget.id)
    return problems


async def _put(store: Store, before: Budget | None, rule: Budget, now_us: int) -> None:
    if before is None:
        await store.budgets.put(checked(rule))
        return
    kept = ("id", "version", "created_at_us", "counts_from_us", "resumed_at_us")
    told = {name: getattr(rule, name) for name in rule.__struct_fields__ if name not in kept}
    after = changed(before, now_us, **told)
    if after != before:
        await store.budgets.put(after)


def _rule_of(one: BudgetSettings, key_ids: dict[str, str], now_us: int) -> Budget:
    key_id = one.key
    if one.key is not None and one.key != EACH:
        key_id = key_ids.get(one.key)
        if key_id is None:
            raise InvalidRequest(
                f"Budget {one.name!r} is for the key {one.key!r}, which does not exist.",
                hint=f'make it ("farthing keys create {one.key}") and have the settings read again (SIGHUP).',
            )
    return Budget(
        id=f"bud_file_{one.name}",
        name=one.name,
        scope=Scope(
            organisation=one.organisation,
            team=one.team,
            project=one.project,
            key_id=key_id,
            user=one.user,
            session=one.session,
            task=one.task,
            tag=one.tag,
        ),
        limit_nanousd=one.usd,
        period=one.period,
        policy=one.policy,
        time_zone=one.time_zone,
        reset_day=one.reset_day,
        thresholds=tuple(Threshold(percent, action) for percent, action in sorted(one.at.items(), reverse=True)),
        grace_nanousd=one.grace_usd,
        wait_s=one.wait_s,
        holds=one.holds,
        from_file=True,
        created_at_us=now_us,
        counts_from_us=now_us,
    )


async def _key_ids(store: Store, wanted: Sequence[BudgetSettings]) -> dict[str, str]:
    if not any(one.key not in (None, EACH) for one in wanted):
        return {}
    return {record.name: record.id for record in await store.keys()}
