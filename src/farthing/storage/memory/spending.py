"""Sums what was spent over attempts in memory, by the same rules as the statement of the other stores."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product

from farthing.types.budgets import tags_of
from farthing.types.calls import Attempt
from farthing.types.ledger import utc_day
from farthing.types.spending import SpendingBy, SpendingRow, SpendingScope, none_spent

Known = Callable[[Attempt], str | None]

_KNOWN_BY: Mapping[SpendingBy, Known] = {
    "day": lambda attempt: utc_day(attempt.opening.started_at_us),
    "provider": lambda attempt: attempt.opening.provider,
    "model": lambda attempt: attempt.opening.model,
    "model_served": lambda attempt: attempt.model_served or attempt.opening.model,
    "operation": lambda attempt: attempt.opening.operation,
    "key": lambda attempt: attempt.opening.attribution.key_name or attempt.opening.attribution.key_id,
    "organisation": lambda attempt: attempt.opening.attribution.organisation,
    "team": lambda attempt: attempt.opening.attribution.team,
    "project": lambda attempt: attempt.opening.attribution.project,
    "user": lambda attempt: attempt.opening.attribution.user,
    "session": lambda attempt: attempt.opening.attribution.session,
    "conversation": lambda attempt: attempt.opening.attribution.conversation,
    "task": lambda attempt: attempt.opening.attribution.task,
    "sub_agent": lambda attempt: attempt.opening.attribution.sub_agent,
    "branch": lambda attempt: attempt.opening.attribution.branch,
    "pull_request": lambda attempt: attempt.opening.attribution.pull_request,
    "tags": lambda attempt: ",".join(sorted(tags_of(attempt.opening.attribution))) or None,
    "face": lambda attempt: attempt.opening.face,
    "outcome": lambda attempt: attempt.outcome,
    "price_id": lambda attempt: attempt.price_id,
    "service_tier": lambda attempt: attempt.service_tier,
}


def spending_of(
    attempts: Iterable[Attempt],
    by: Sequence[SpendingBy],
    scope: Sequence[SpendingScope],
    *,
    since_us: int | None,
    until_us: int | None,
    limit: int,
    key_names: Mapping[str, str],
) -> list[SpendingRow]:
    """See `LedgerStore.spending`; `key_names` are the keys' names of now, by id."""

    def known(name: SpendingBy, attempt: Attempt) -> tuple[str | None, ...]:
        if name == "tag":
            return tags_of(attempt.opening.attribution) or (None,)
        if name == "key" and attempt.opening.attribution.key_id in key_names:
            return (key_names[attempt.opening.attribution.key_id],)
        return (_KNOWN_BY[name](attempt),)

    groups: dict[tuple[str | None, ...], list[Attempt]] = {} if by else {(): []}
    for attempt in attempts:
        began_us = attempt.opening.started_at_us
        if (since_us is not None and began_us < since_us) or (until_us is not None and began_us >= until_us):
            continue
        if all(one.value in known(one.by, attempt) for one in scope):
            for group in product(*(known(name, attempt) for name in by)):
                groups.setdefault(group, []).append(attempt)
    rows = [_row(group, members) for group, members in groups.items()]
    rows.sort(key=lambda row: [(one is None, one or "") for one in row.groups])
    rows.sort(key=lambda row: -row.cost_nanousd)
    return rows[:limit]


def _row(groups: tuple[str | None, ...], members: Sequence[Attempt]) -> SpendingRow:
    if not members:
        return none_spent(groups)
    usages = [attempt.usage for attempt in members]
    free = [attempt for attempt in members if attempt.outcome == "ok" and attempt.cost_nanousd == 0]
    return SpendingRow(
        groups=groups,
        calls=len({attempt.opening.call_id for attempt in members}),
        attempts=len(members),
        failed_attempts=sum(attempt.outcome in ("provider_error", "unreachable") for attempt in members),
        free_attempts=len(free),
        free_tokens=sum((a.usage.input_tokens or 0) + (a.usage.output_tokens or 0) for a in free),
        input_tokens=sum(usage.input_tokens or 0 for usage in usages),
        largest_input_tokens=max(usage.input_tokens or 0 for usage in usages),
        output_tokens=sum(usage.output_tokens or 0 for usage in usages),
        cache_read_input_tokens=sum(usage.cache_read_input_tokens for usage in usages),
        cache_creation_5m_input_tokens=sum(usage.cache_creation_5m_input_tokens for usage in usages),
        cache_creation_1h_input_tokens=sum(usage.cache_creation_1h_input_tokens for usage in usages),
        reasoning_output_tokens=sum(usage.reasoning_output_tokens for usage in usages),
        media_tokens=sum(
            u.input_audio_tokens + u.output_audio_tokens + u.input_image_tokens + u.output_image_tokens for u in usages
        ),
        web_search_requests=sum(usage.web_search_requests for usage in usages),
        cost_nanousd=sum(attempt.cost_nanousd or 0 for attempt in members),
        unknown_cost_attempts=sum(attempt.cost_nanousd is None for attempt in members),
        estimated_attempts=sum(attempt.cost_basis == "estimated" for attempt in members),
        unknown_usage_attempts=sum(not usage.known for usage in usages),
    )
