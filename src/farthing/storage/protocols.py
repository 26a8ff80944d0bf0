"""What every store can do.

Methods are coroutines although SQLite is not: callers are written for a store that is a network away. Every method
raises `StoreError` when the store cannot be reached or used, and has then changed nothing.
"""

from collections.abc import Collection, Sequence
from typing import Literal, Protocol

import msgspec

from farthing.errors import StoreError
from farthing.storage.alert_protocols import AlertStore
from farthing.storage.history_protocols import HistoryStore
from farthing.storage.limit_protocols import LimitStore, WindowStore
from farthing.storage.outcome_protocols import OutcomeStore
from farthing.storage.retention_protocols import RetentionStore
from farthing.storage.settings_protocols import SettingsStore
from farthing.types.admin import AdminToken, Change
from farthing.types.budgets import Account, Budget, BudgetChanges, LeaseAnswer, LeaseAsk
from farthing.types.calls import Attempt
from farthing.types.credentials import NO_QUOTAS, Quotas
from farthing.types.ledger import EVERYTHING, CostsBy, CostsFilter, CostsRow, DailyTotal, KeySpent
from farthing.types.principal import FixedName
from farthing.types.spending import SpendingBy, SpendingRow, SpendingScope
from farthing.types.tenant import Tenant, tenant_of

MAX_GROUPS = 100_000
"""Groups that one question may have: a year of days by 270 models; as rows about 50 MB."""


class RowsRefused(StoreError):
    """The store is there and will never take these attempts as they are: trying again does not help, fewer may."""


class OldSecret(msgspec.Struct, frozen=True, gc=False):
    """What a key was before it was rotated: still taken until `ends_at_us`, and known afterwards as over."""

    digest: bytes
    shown: str
    ends_at_us: int


KeyState = Literal["active", "disabled", "expired", "revoked"]


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A key that we issued. The key itself is nowhere: `digest` is its HMAC, `shown` its first characters.

    One that stands for a session of an agent says what the agent works on, and `expires_at_us`: it ends then even where
    nobody is left to revoke it. `bound_model` is used whatever a client asks for; `models` and `faces` are all that may
    be asked for and by, where they name any. What is `fixed` no client may name otherwise. `changed` is the
    store's: the change counter when it changed last.
    """

    id: str
    name: str
    shown: str
    digest: bytes
    created_at_us: int
    revoked_at_us: int | None = None
    organisation: str = "default"
    team: str | None = None
    project: str | None = None
    user: str | None = None
    session: str | None = None
    task: str | None = None
    branch: str | None = None
    pull_request: str | None = None
    expires_at_us: int | None = None
    tags: tuple[str, ...] = ()
    bound_model: str | None = None
    models: tuple[str, ...] = ()
    faces: tuple[str, ...] = ()
    disabled_at_us: int | None = None
    deleted_at_us: int | None = None
    rotated_at_us: int | None = None
    old_secrets: tuple[OldSecret, ...] = ()
    fixed: tuple[FixedName, ...] = ()
    changed: int = 0

    @property
    def tenant(self) -> Tenant | None:
        """The team whose it is; `None` is the house's."""
        return tenant_of(self.organisation, self.team)

    def counts(self, now_us: int) -> bool:
        """Whether calls are taken with it."""
        return self.state(now_us) == "active"

    def state(self, now_us: int) -> KeyState:
        """Return what becomes of a call with it; what cannot be taken back comes before what can."""
        if self.revoked_at_us is not None or self.deleted_at_us is not None:
            return "revoked"
        if self.expires_at_us is not None and self.expires_at_us <= now_us:
            return "expired"
        return "active" if self.disabled_at_us is None else "disabled"

    def rotating_until_us(self, now_us: int) -> int | None:
        """Return until when a secret from before is taken too; `None` where none is."""
        ends = [old.ends_at_us for old in self.old_secrets if old.ends_at_us > now_us]
        return max(ends) if ends and self.counts(now_us) else None


class CredentialRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's credential in the vault: its secret is sealed (see `auth/sealing.py`), the rest is not."""

    id: str
    provider: str
    name: str
    weight: int
    enabled: bool
    created_at_us: int
    rotated_at_us: int | None = None
    ciphertext: bytes
    nonce: bytes
    key_id: str
    quotas: Quotas = NO_QUOTAS


class LedgerStore(Protocol):
    """Keeps attempts, each once, and their daily totals."""

    async def append(self, attempts: Sequence[Attempt], holder: str = "") -> int:
        """Keep these attempts and add them to the daily totals, all or none; return how many were new.

        In the same transaction each is charged to every budget's account that it belongs to, and to what `holder`, the
        process that made it, has leased of that. An attempt whose id is already kept changes nothing, whatever else it
        says.

        Raises:
            RowsRefused: at least one of them cannot be kept, by this store, ever; nothing was changed.
        """
        ...

    async def intact(self) -> bool:
        """Return whether what was opened is still what the next process would open; asked once a second."""
        ...

    async def known(self, attempt_ids: Collection[str]) -> set[str]:
        """Return those of the ids that are kept, or were and have expired."""
        ...

    async def costs(
        self,
        by: CostsBy | None,
        since_us: int | None = None,
        until_us: int | None = None,
        only: CostsFilter = EVERYTHING,
        limit: int | None = None,
    ) -> list[CostsRow]:
        """Return costs of attempts begun in [`since_us`, `until_us`), dearest group first; one row when `by` is None.

        Groups are `provider:model`, names of keys as they are now, UTC days (in order of time, not of cost), and what
        an attempt says itself. By tag, an attempt with two stands in two groups. `limit` is of groups.
        """
        ...

    async def roll_up(self, limit: int) -> int:
        """Add up to `limit` attempts to the sums that costs are answered from; return how many, 0 when it is done.

        What costs say is the same before and after it, and sooner said.
        """
        ...

    async def spending(
        self,
        by: Sequence[SpendingBy],
        *,
        since_us: int | None = None,
        until_us: int | None = None,
        scope: Sequence[SpendingScope] = (),
        limit: int = MAX_GROUPS,
    ) -> list[SpendingRow]:
        """Return sums over attempts begun in `[since_us, until_us)` and within `scope`, by `by`, dearest group first.

        Of more than `limit` groups the dearest are returned. Asked by nothing, it is one row.
        """
        ...

    async def attempts_begun(self, after_us: int, after_id: str, until_us: int, limit: int) -> list[Attempt]:
        """Return up to `limit` attempts begun before `until_us`, in order of beginning and then of id.

        `(after_us, after_id)` is the last one of the page before; `(since, "")` begins at a moment.
        """
        ...

    async def recent(self, limit: int, before_call_id: str | None = None) -> list[list[Attempt]]:
        """Return the attempts of the `limit` youngest calls (older than `before_call_id`), youngest call first.

        Ids sort by time of birth (see `types/identity.py`), so the last call's id is the next page's `before_call_id`.
        """
        ...

    async def call(self, call_id: str) -> list[Attempt]:
        """Return one call's attempts in order of trying; empty where there is no such call."""
        ...

    async def call_ids(self, prefix: str, limit: int) -> list[str]:
        """Return at most `limit` ids of calls that begin with `prefix`, or have an attempt whose id does, in order."""
        ...

    async def attempts_after(self, attempt_id: str, limit: int) -> list[Attempt]:
        """Return up to `limit` attempts whose id is greater, in order of id; `""` begins at the first."""
        ...

    async def attempts_of(self, attempt_ids: Collection[str]) -> list[Attempt]:
        """Return those of these attempts that are kept, in order of id."""
        ...

    async def repeated_tries(self, limit: int) -> list[tuple[str, int, int]]:
        """Return (call id, ordinal, times) of tries that stand in the ledger more than once."""
        ...

    async def key_spent(self, key_id: str) -> KeySpent:
        """Return what was spent with a key, ever, by the daily totals."""
        ...

    async def daily_totals(self) -> list[DailyTotal]:
        """Return the totals as they were kept, by day, key, provider and model."""
        ...

    async def daily_totals_recomputed(self) -> list[DailyTotal]:
        """Return the totals as the attempts add up now, in the same order."""
        ...

    async def rebuild_totals(self) -> tuple[list[DailyTotal], list[DailyTotal]]:
        """Make the daily totals anew from the attempts, in one transaction; return them as before and after."""
        ...

    async def damage(self) -> list[str]:
        """Return what the store's own consistency check complains about; empty when it is sound."""
        ...


class KeyStore(Protocol):
    """Keeps the keys we issued."""

    async def keys(self) -> list[KeyRecord]:
        """Return every key but the deleted ones, revoked ones too, oldest first."""
        ...

    async def keys_page(
        self,
        limit: int,
        after_id: str = "",
        *,
        organisation: str | None = None,
        team: str | None = None,
        project: str | None = None,
    ) -> list[KeyRecord]:
        """Return at most `limit` keys whose id is greater, in order of id, which is that of birth; not deleted ones.

        Of an `organisation` only together with a `team`.
        """
        ...

    async def team_elsewhere(self, tenant: Tenant) -> bool:
        """Return whether another organisation has, or had, a key of a team of this name."""
        ...

    async def key(self, id_or_name: str) -> KeyRecord | None:
        """Return the key with this id, or else of this name; `None` where there is neither, or it is deleted."""
        ...

    async def changed_keys(self, after: int, limit: int) -> list[KeyRecord]:
        """Return at most `limit` keys whose `changed` is greater, deleted ones too, in order of change; 0 begins."""
        ...

    async def key_names(self, limit: int) -> list[str]:
        """Return the names of at most `limit` keys, the youngest first."""
        ...

    async def free_key_number(self, prefix: str) -> int:
        """Return a number that no key's name has behind `prefix`: the lowest up to 100, else one beyond the highest."""
        ...

    async def add_key(self, record: KeyRecord) -> KeyRecord | None:
        """Keep a new key and return it as kept; `None`, and nothing changed, when its name, id or digest is taken.

        The name of a deleted key is free again, its id is not.
        """
        ...

    async def change_key(self, record: KeyRecord) -> KeyRecord | None:
        """Keep a key as it is now, where it is still as it was read (`changed`), and return it as kept.

        `None`, and nothing changed, where there is none, it has changed since or is deleted, or its name is taken. One
        with `deleted_at_us` is kept for its name and its id alone.
        """
        ...

    async def change_counter(self) -> int:
        """Return a number that grew with every change to the keys, by whichever process."""
        ...

    async def claim_pepper(self, check: bytes) -> bool:
        """Return whether keys made under the pepper that leaves `check` verify for everybody who shares this store.

        The first to ask decides. A store that lies beside its pepper, in the same home, always says so.
        """
        ...


class BudgetStore(Protocol):
    """Keeps budgets, their accounts, and what processes have leased of those."""

    async def all(self) -> list[Budget]:
        """Return every budget, disabled ones too, in order of name."""
        ...

    async def page(self, after: str, limit: int) -> list[Budget]:
        """Return the next budgets in order of name, those after the name `after`; `""` is before all."""
        ...

    async def found(self, name_or_id: str) -> Budget | None:
        """Return one budget."""
        ...

    async def put(self, budget: Budget) -> bool:
        """Keep a budget, new or in place of the one with its id; False, and nothing changed, when its name is taken."""
        ...

    async def remove(self, budget_id: str) -> bool:
        """Forget a budget with its accounts and what is leased of them; False where there is none."""
        ...

    async def changes(self, since: int) -> BudgetChanges:
        """Return what was changed after a counter's value, by whichever process; 0 is before everything."""
        ...

    async def exchange(self, holder: str, asks: Sequence[LeaseAsk], *, now_us: int, until_us: int) -> list[LeaseAnswer]:
        """Give back to accounts and lease from them, in order, all in one transaction; return what came of each ask.

        An account is made where it is missing, with what the ledger says was spent. Leases of `holder` then end at
        `until_us`; those of others that have ended count no more. After every ask: what is posted, unknown and leased
        is at most the limit and `beyond`, or is no more than it was before.
        """
        ...

    async def hold(self, holder: str, *, now_us: int, until_us: int) -> None:
        """Say that a process lives: its leases end at `until_us`.

        A store that several hosts share goes by its own clock, and by how long that is from `now_us`: theirs need
        not agree.
        """
        ...

    async def release(self, holders: str, *, but: Collection[str] = ()) -> int:
        """Take back what is leased to processes whose names begin with `holders`, but to these; return how much.

        Only for who knows that they have ended, and that all they left in their journals is posted.
        """
        ...

    async def wanted(self, since_us: int) -> list[str]:
        """Return the ids of accounts of which somebody asked more than was left, at or after `since_us`.

        A store that several hosts share returns those of the last seconds, by its own clock.
        """
        ...

    async def accounts(self, budget_id: str | None = None, *, at_us: int | None = None, now_us: int) -> list[Account]:
        """Return accounts: of one budget or all, only those whose period holds `at_us` where it is given.

        Leases that ended before `now_us` count no more.
        """
        ...

    async def accounts_recomputed(self) -> dict[str, tuple[int, int]]:
        """Return what every account's posted and unknown should be by the attempts there are, by account id."""
        ...

    async def rebuild_accounts(self) -> dict[str, tuple[int, int]]:
        """Make posted and unknown of every account anew from the attempts; return those that changed, as before."""
        ...


class CredentialStore(Protocol):
    """Keeps the sealed credentials, of which there are few: they are read, compared and changed as a whole.

    So whoever changes the master key, and whoever adds a credential at that moment, cannot both succeed.
    """

    async def records(self) -> list[CredentialRecord]:
        """Return every credential, disabled ones too, oldest first."""
        ...

    async def swap(self, before: Sequence[CredentialRecord], after: Sequence[CredentialRecord]) -> bool:
        """Keep `after` in the place of `before`, all or none; False, and nothing changed, when others are kept now.

        Ids and names in `after` are each there once.
        """
        ...

    async def counter(self) -> int:
        """Return a number that grew with every change to the credentials, by whichever process."""
        ...


class AdminStore(Protocol):
    """Keeps the tokens of the admin API, and the log of what was changed through it."""

    async def add_token(self, token: AdminToken) -> bool:
        """Keep a new token; False, and nothing changed, when one that is not revoked has its name."""
        ...

    async def tokens(self) -> list[AdminToken]:
        """Return every token, revoked ones too, oldest first."""
        ...

    async def token(self, digest: bytes) -> AdminToken | None:
        """Return the token with this digest."""
        ...

    async def revoke_token(self, token_id: str, at_us: int) -> bool:
        """Revoke a token; False when there is none or it is revoked already (the first time stays)."""
        ...

    async def begin_change(self, change: Change) -> None:
        """Write down that something is about to be changed."""
        ...

    async def end_change(self, change: Change) -> None:
        """Write down what came of a change that was begun: all but who asked for what, when."""
        ...

    async def changes(
        self,
        limit: int,
        before_id: str | None = None,
        *,
        who: str | None = None,
        action: str | None = None,
        subject: str | None = None,
    ) -> list[Change]:
        """Return the youngest lines (older than `before_id`), youngest first; only those with what is given."""
        ...


class Store(LedgerStore, KeyStore, Protocol):
    """Everything one installation keeps."""

    @property
    def admin(self) -> AdminStore:
        """The admin's tokens and the audit log."""
        ...

    @property
    def budgets(self) -> BudgetStore:
        """The budgets."""
        ...

    @property
    def credentials(self) -> CredentialStore:
        """The vault's part."""
        ...

    @property
    def limits(self) -> LimitStore:
        """The limits."""
        ...

    @property
    def windows(self) -> WindowStore:
        """What is used of the limits' windows, where nothing else keeps that."""
        ...

    @property
    def alerts(self) -> AlertStore:
        """What is told of."""
        ...

    @property
    def history(self) -> HistoryStore:
        """The past, hour by hour."""
        ...

    @property
    def settings(self) -> SettingsStore:
        """The settings that were made through the admin API."""
        ...

    @property
    def outcomes(self) -> OutcomeStore:
        """What was told of the outcomes of tasks and sessions."""
        ...

    @property
    def retention(self) -> RetentionStore:
        """What is gone, and stays as sums."""
        ...

    async def open(self) -> None:
        """Make or migrate the store and be ready; opening an open store changes nothing."""
        ...

    async def close(self) -> None:
        """Finish and let go; closing twice changes nothing."""
        ...
