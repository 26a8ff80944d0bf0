"""What is sent to make or change a budget, and how budgets and their accounts are shown."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from farthing.server.admin.reading import Usd
from farthing.server.admin.shown import Name, Text, moment, nanousd_of, time_of
from farthing.types.budgets import (
    DEFAULT_THRESHOLDS,
    Budget,
    BudgetAction,
    BudgetHolds,
    BudgetPolicy,
    Period,
    Scope,
    Threshold,
)
from farthing.types.money import usd_text

Day = Annotated[int, Meta(ge=1, le=31)]
Wait = Annotated[int, Meta(ge=0, le=600)]
SetBy = Literal["admin", "manager"]


class ScopeShape(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which calls are meant: those that have all of these; `*` is any value, each for itself."""

    organisation: Text | None = None
    team: Text | None = None
    project: Text | None = None
    key_id: Text | None = None
    user: Text | None = None
    session: Text | None = None
    task: Text | None = None
    tag: Text | None = None

    def scope(self) -> Scope:
        """Return it as the ledger has it."""
        return Scope(**msgspec.structs.asdict(self))

    @classmethod
    def of(cls, scope: Scope) -> "ScopeShape":
        """Return a scope as it is shown."""
        return cls(**msgspec.structs.asdict(scope))


class ThresholdShape(msgspec.Struct, frozen=True):
    """With less than `left_percent` of the limit left, `action` holds."""

    left_percent: Annotated[int, Meta(ge=1, le=100)]
    action: BudgetAction


Thresholds = Annotated[tuple[ThresholdShape, ...], Meta(max_length=20)]
_DEFAULT = tuple(ThresholdShape(one.left_percent, one.action) for one in DEFAULT_THRESHOLDS)


class NewBudget(msgspec.Struct, frozen=True, kw_only=True):
    """A budget to be made; without a scope it is about all calls."""

    name: Name
    usd: Usd
    period: Period
    policy: BudgetPolicy = "hard"
    scope: ScopeShape | None = None
    time_zone: Name = "UTC"
    reset_day: Day = 1
    thresholds: Thresholds = _DEFAULT
    grace_usd: Usd | None = None
    wait_s: Wait = 10
    holds: BudgetHolds = "estimate"
    enabled: bool = True

    def fields(self) -> dict[str, Any]:
        """Return the fields of the rule, but the scope."""
        return _fields(self)


class BudgetChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be changed of a budget; what is left out stays."""

    name: Name | UnsetType = UNSET
    usd: Usd | UnsetType = UNSET
    period: Period | UnsetType = UNSET
    policy: BudgetPolicy | UnsetType = UNSET
    scope: ScopeShape | UnsetType = UNSET
    time_zone: Name | UnsetType = UNSET
    reset_day: Day | UnsetType = UNSET
    thresholds: Thresholds | UnsetType = UNSET
    grace_usd: Usd | UnsetType = UNSET
    wait_s: Wait | UnsetType = UNSET
    holds: BudgetHolds | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET

    def fields(self) -> dict[str, Any]:
        """Return the fields of the rule that change, but the scope."""
        return _fields(self)


class BudgetShown(msgspec.Struct, frozen=True, kw_only=True):
    """A budget; one that is `from_file` is changed in settings.yaml."""

    id: str
    name: str
    usd: str
    nanousd: int
    period: Period
    policy: BudgetPolicy
    scope: ScopeShape
    time_zone: str
    reset_day: int
    thresholds: tuple[ThresholdShape, ...]
    grace_usd: str
    wait_s: int
    holds: BudgetHolds
    enabled: bool
    from_file: bool
    set_by: SetBy
    created_at: datetime
    resumed_at: datetime | None


class BudgetPage(msgspec.Struct, frozen=True):
    """Budgets by name; `next` is the `after` of the next page, `null` on the last one."""

    budgets: tuple[BudgetShown, ...]
    next: str | None


class AccountShown(msgspec.Struct, frozen=True, kw_only=True):
    """How one account stands: `limit = spent + held + left`.

    `held_nanousd` is held by calls under way, `leased_nanousd` is what processes have taken for calls to come as well.
    `of_unknown_cost_nanousd`, a part of what is spent, is what calls may have cost at most whose cost nobody knows.
    `state` is `open`, or the action of the threshold that is reached.
    """

    id: str
    subject: ScopeShape
    begins_at: datetime
    resets_at: datetime | None
    limit_nanousd: int
    limit_usd: str
    spent_nanousd: int
    spent_usd: str
    of_unknown_cost_nanousd: int
    held_nanousd: int
    leased_nanousd: int
    left_nanousd: int
    left_usd: str
    state: BudgetAction | Literal["open"]


class AccountPage(msgspec.Struct, frozen=True):
    """Accounts by id; `next` is the `after` of the next page, `null` on the last one."""

    accounts: tuple[AccountShown, ...]
    next: str | None


def budget_of(budget: Budget) -> BudgetShown:
    """Return a budget as it is shown."""
    return BudgetShown(
        id=budget.id,
        name=budget.name,
        usd=usd_text(budget.limit_nanousd),
        nanousd=budget.limit_nanousd,
        period=budget.period,
        policy=budget.policy,
        scope=ScopeShape.of(budget.scope),
        time_zone=budget.time_zone,
        reset_day=budget.reset_day,
        thresholds=tuple(ThresholdShape(one.left_percent, one.action) for one in budget.thresholds),
        grace_usd=usd_text(budget.grace_nanousd),
        wait_s=budget.wait_s,
        holds=budget.holds,
        enabled=budget.enabled,
        from_file=budget.from_file,
        set_by="admin" if budget.set_by is None else "manager",
        created_at=moment(budget.created_at_us),
        resumed_at=time_of(budget.resumed_at_us),
    )


_SAME = ("name", "period", "policy", "time_zone", "reset_day", "wait_s", "holds", "enabled")


def _fields(wanted: NewBudget | BudgetChange) -> dict[str, Any]:
    found = {name: getattr(wanted, name) for name in _SAME if getattr(wanted, name) is not UNSET}
    if wanted.usd is not UNSET:
        found["limit_nanousd"] = nanousd_of(wanted.usd)
    if wanted.grace_usd is not UNSET:
        found["grace_nanousd"] = 0 if wanted.grace_usd is None else nanousd_of(wanted.grace_usd)
    if wanted.thresholds is not UNSET:
        found["thresholds"] = tuple(Threshold(one.left_percent, one.action) for one in wanted.thresholds)
    return found
