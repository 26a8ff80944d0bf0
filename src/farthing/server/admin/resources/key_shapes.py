"""What is sent to make or change a key, and how one is shown: never with its secret, but for the one time."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from farthing.auth.key_forms import MAX_MODEL_LENGTH, MAX_MODELS, KeyFields, with_own_names_fixed
from farthing.server.admin.reading import Usd
from farthing.server.admin.resources.limit_shapes import RateShape
from farthing.server.admin.shown import Name, Text, ZonedTime, moment, time_of
from farthing.storage.protocols import KeyRecord, KeyState
from farthing.types.budgets import BudgetHolds, BudgetPolicy, Period
from farthing.types.principal import FaceName, FixedName

Models = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=MAX_MODEL_LENGTH)], ...], Meta(max_length=MAX_MODELS)
]
Tags = Annotated[tuple[Text, ...], Meta(max_length=64)]


class KeyBudget(msgspec.Struct, frozen=True):
    """A budget of the key's own."""

    usd: Usd
    period: Period = "total"
    policy: BudgetPolicy = "hard"
    holds: BudgetHolds = "estimate"


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key to be made; every member may be left out. Without a name it becomes `my-app-1`, `my-app-2`, ..."""

    name: Name | None = None
    budget: KeyBudget | None = None
    limits: RateShape | None = None
    models: Models | None = None
    bound_model: Text | None = None
    faces: tuple[FaceName, ...] = ()
    organisation: Text | None = None
    team: Text | None = None
    project: Text | None = None
    user: Text | None = None
    tags: Tags = ()
    fixed: tuple[FixedName, ...] | None = None
    expires_at: ZonedTime | None = None

    def fields(self) -> KeyFields:
        """Return what is kept of it with the key."""
        fields = KeyFields(
            organisation=self.organisation or "default",
            team=self.team,
            project=self.project,
            user=self.user,
            tags=self.tags,
            models=self.models or (),
            bound_model=self.bound_model,
            faces=self.faces,
        )
        if self.fixed is not None:
            fields["fixed"] = self.fixed
        return with_own_names_fixed(fields)


class KeyChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be changed of a key; what is left out stays, `null` takes away."""

    name: Name | UnsetType = UNSET
    organisation: Text | UnsetType = UNSET
    team: Text | UnsetType | None = UNSET
    project: Text | UnsetType | None = UNSET
    user: Text | UnsetType | None = UNSET
    tags: Tags | UnsetType | None = UNSET
    models: Models | UnsetType | None = UNSET
    bound_model: Text | UnsetType | None = UNSET
    faces: tuple[FaceName, ...] | UnsetType | None = UNSET
    fixed: tuple[FixedName, ...] | UnsetType | None = UNSET
    expires_at: ZonedTime | UnsetType | None = UNSET
    budget: KeyBudget | UnsetType | None = UNSET
    limits: RateShape | UnsetType | None = UNSET

    def fields(self) -> KeyFields:
        """Return what is changed with the key itself."""
        found: KeyFields = {}
        for name in KeyFields.__annotations__:
            value = getattr(self, name, UNSET)
            if value is not UNSET:
                found[name] = () if value is None and name in _LISTS else value  # type: ignore[literal-required]
        return found


_LISTS = ("tags", "models", "faces", "fixed")


class KeyExpiry(msgspec.Struct, frozen=True):
    """When a key is to end; without a time it ends now, with `null` never."""

    at: ZonedTime | UnsetType | None = UNSET


class KeyRotation(msgspec.Struct, frozen=True):
    """How long the old secret is taken beside the new one, seconds; a day where nothing is said."""

    grace_s: Annotated[int, Meta(ge=0, le=30 * 86_400)] = 86_400


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key; `shown` is how its secret begins."""

    id: str
    name: str
    shown: str
    state: KeyState
    created_at: datetime
    organisation: str
    team: str | None
    project: str | None
    user: str | None
    session: str | None
    task: str | None
    tags: tuple[str, ...]
    models: tuple[str, ...]
    bound_model: str | None
    faces: tuple[str, ...]
    fixed: tuple[str, ...]
    expires_at: datetime | None
    disabled_at: datetime | None
    revoked_at: datetime | None
    rotated_at: datetime | None
    rotating_until: datetime | None


class ShownKey(Key, frozen=True, kw_only=True):
    """A key by itself, with the ids of its own budget and limit; of several, the one made first."""

    budget_id: str | None = None
    limit_id: str | None = None


class ChangedKey(Key, frozen=True, kw_only=True):
    """A key as it is after a change."""

    warnings: tuple[str, ...]


class MadeKey(ChangedKey, frozen=True, kw_only=True):
    """A key with its secret, which is shown this once, and the ids of its own budget and limit."""

    key: str
    budget_id: str | None = None
    limit_id: str | None = None


class KeyPage(msgspec.Struct, frozen=True):
    """Keys in the order in which they were made; `next` is the `after` of the next page, `null` on the last one."""

    keys: tuple[Key, ...]
    next: str | None


class KeySpend(msgspec.Struct, frozen=True, kw_only=True):
    """What was spent with a key: `usd` and `nanousd` are the sum of all that ended and whose cost is known.

    `reserved_nanousd` is held for calls under way. `unposted_attempts` have ended, and are not in the sum yet: 0 unless
    the ledger's database is in trouble.
    """

    usd: str
    nanousd: int
    reserved_nanousd: int
    attempts: int
    unknown_cost_attempts: int
    estimated_attempts: int
    unposted_attempts: int


def key_of(record: KeyRecord, now_us: int) -> Key:
    """Return a key as it is shown."""
    return Key(**_shown(record, now_us))


def shown_key_of(record: KeyRecord, now_us: int, rules: Mapping[str, str]) -> ShownKey:
    """Return a key as it is shown by itself, with the ids of its own budget and limit."""
    return ShownKey(budget_id=rules.get("budget_id"), limit_id=rules.get("limit_id"), **_shown(record, now_us))


def changed_key_of(record: KeyRecord, now_us: int, warnings: tuple[str, ...]) -> ChangedKey:
    """Return a key as it is shown after a change."""
    return ChangedKey(warnings=warnings, **_shown(record, now_us))


def made_key_of(
    record: KeyRecord, now_us: int, secret: str, warnings: tuple[str, ...], rules: Mapping[str, str]
) -> MadeKey:
    """Return a key as it is shown once, with the ids of its own budget and limit."""
    return MadeKey(
        key=secret,
        warnings=warnings,
        budget_id=rules.get("budget_id"),
        limit_id=rules.get("limit_id"),
        **_shown(record, now_us),
    )


def _shown(record: KeyRecord, now_us: int) -> dict[str, Any]:
    same = ("id", "name", "shown", "organisation", "team", "project", "user", "session", "task", "tags", "models")
    return {name: getattr(record, name) for name in (*same, "bound_model", "faces", "fixed")} | {
        "state": record.state(now_us),
        "created_at": moment(record.created_at_us),
        "expires_at": time_of(record.expires_at_us),
        "disabled_at": time_of(record.disabled_at_us),
        "revoked_at": time_of(record.revoked_at_us),
        "rotated_at": time_of(record.rotated_at_us),
        "rotating_until": time_of(record.rotating_until_us(now_us)),
    }
