"""Costs that are paid whether or not anybody calls: a subscription, a machine's power. Declared, never metered."""

from typing import Literal

import msgspec


class FixedCost(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `fixed_costs:` in settings.yaml: `nanousd` for each calendar month or day (UTC).

    `providers` are those whose calls it pays for, by their configured names; all of them where it names none.
    """

    name: str
    nanousd: int
    per: Literal["month", "day"]
    providers: tuple[str, ...] = ()
