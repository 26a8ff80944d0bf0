"""Lines of the audit log for what commands change, as the admin API writes them for what is changed through it.

A command changes the store through this one, so none can forget its line: it is written before the change is made, and
completed when it is known what came of it. Line and change are not one transaction: a change may be several, or of a
file, and the admin API's are written in the same two steps. What is lost by that is nothing: the line is committed
first, by the same database, so wherever a command is killed there is a line for every change, and at worst one that
stays `begun` (`test_audit_crashes.py` kills every kind of command at every step). Who made it is the account of the
operating system, which the environment cannot pretend to be. No secret and no digest is ever in a line.
"""

import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

import click
import msgspec

from farthing.clock import SystemClock
from farthing.errors import FarthingError, StoreError
from farthing.storage.limit_protocols import LimitStore
from farthing.storage.outcome_protocols import OutcomeStore
from farthing.storage.protocols import AdminStore, BudgetStore, CredentialRecord, CredentialStore, KeyRecord, Store
from farthing.types.admin import AdminToken, Change, ChangeOutcome
from farthing.types.budgets import Budget
from farthing.types.identity import IdSource
from farthing.types.limits import Limit
from farthing.types.outcomes import WorkOutcome

T = TypeVar("T")

_NAMES = {"admin.token.create": "tokens.create", "admin.token.revoke": "tokens.revoke"}
"""Commands that do what the admin API does under another name."""
_SECRETS = ("digest", "old_secrets", "ciphertext", "nonce", "key_id", "changed")


def audited(store: Store) -> Store:
    """Return a store whose changes of keys, budgets, limits, credentials, tokens and outcomes leave a line each."""
    return cast("Store", _Audited(store))


async def begin(store: Store, subject: str | None = None, before: Any = None) -> Change:
    """Write down that a command is about to change something.

    Raises:
        StoreError: the line cannot be written; then nothing may be changed.
    """
    clock = SystemClock()
    ids = IdSource(clock, os.urandom)
    who = _account()
    begun = Change(
        id=ids.new("chg"),
        at_us=clock.now_us(),
        who=f"cli:{who}",
        who_name=who,
        role="admin",
        team=None,
        request_id=ids.new("req"),
        action=_action(),
        subject=subject,
        before=_shown(before),
    )
    await store.admin.begin_change(begun)
    return begun


async def end(
    store: Store, begun: Change, outcome: ChangeOutcome, after: Any = None, *, subject: str | None = None
) -> None:
    """Write down what came of it; `after` is what the thing is now, `subject` its id where it was not known before."""
    told = _shown(after) if outcome == "done" else None
    ended = msgspec.structs.replace(begun, outcome=outcome, after=told, subject=subject or begun.subject)
    await store.admin.end_change(ended)


def outcome_of(error: BaseException) -> ChangeOutcome:
    """Return what came of a change that ended with an error."""
    return "refused" if isinstance(error, FarthingError) and not isinstance(error, StoreError) else "failed"


class _Audited:
    """Passes everything on, and writes down what changes something."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.budgets = cast("BudgetStore", _AuditedRules(store, store.budgets))
        self.limits = cast("LimitStore", _AuditedRules(store, store.limits))
        self.credentials = cast("CredentialStore", _AuditedCredentials(store))
        self.admin = cast("AdminStore", _AuditedTokens(store))
        self.outcomes = cast("OutcomeStore", _AuditedOutcomes(store))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def add_key(self, record: KeyRecord) -> KeyRecord | None:
        """See `KeyStore.add_key`."""
        return await _made(self._store, record.id, None, record, lambda: self._store.add_key(record))

    async def change_key(self, record: KeyRecord) -> KeyRecord | None:
        """See `KeyStore.change_key`."""
        before = await self._store.key(record.id)
        after = record if record.deleted_at_us is None else None
        return await _made(self._store, record.id, before, after, lambda: self._store.change_key(record))


class _AuditedRules:
    def __init__(self, store: Store, rules: BudgetStore | LimitStore) -> None:
        self._store = store
        self._rules: Any = rules

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rules, name)

    async def put(self, rule: Budget | Limit) -> bool:
        """See `BudgetStore.put` and `LimitStore.put`."""
        return await _made(self._store, rule.id, await self._find(rule.id), rule, lambda: self._rules.put(rule))

    async def remove(self, rule_id: str) -> bool:
        """See `BudgetStore.remove` and `LimitStore.remove`."""
        return await _made(self._store, rule_id, await self._find(rule_id), None, lambda: self._rules.remove(rule_id))

    async def _find(self, rule_id: str) -> Budget | Limit | None:
        return next((one for one in await self._rules.all() if one.id == rule_id), None)


class _AuditedCredentials:
    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store.credentials, name)

    async def swap(self, before: Sequence[CredentialRecord], after: Sequence[CredentialRecord]) -> bool:
        """See `CredentialStore.swap`; of several that change at once the line has the names."""
        gone = [one for one in before if one not in after]
        new = [one for one in after if one not in before]

        def swap() -> Awaitable[bool]:
            return self._store.credentials.swap(before, after)

        if len(gone) <= 1 and len(new) <= 1 and (gone or new):
            subject = (new or gone)[0].id
            return await _made(self._store, subject, gone[0] if gone else None, new[0] if new else None, swap)
        names = [{"credentials": [one.name for one in some]} if some else None for some in (gone, new)]
        return await _made(self._store, None, names[0], names[1], swap)


class _AuditedOutcomes:
    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store.outcomes, name)

    async def tell(self, outcome: WorkOutcome) -> None:
        """See `OutcomeStore.tell`."""

        async def tell() -> bool:
            await self._store.outcomes.tell(outcome)
            return True

        await _made(self._store, outcome.id, None, outcome, tell)


class _AuditedTokens:
    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store.admin, name)

    async def add_token(self, token: AdminToken) -> bool:
        """See `AdminStore.add_token`."""
        return await _made(self._store, token.id, None, token, lambda: self._store.admin.add_token(token))

    async def revoke_token(self, token_id: str, at_us: int) -> bool:
        """See `AdminStore.revoke_token`."""
        before = next((one for one in await self._store.admin.tokens() if one.id == token_id), None)
        after = None if before is None else msgspec.structs.replace(before, revoked_at_us=at_us)
        admin = self._store.admin
        return await _made(self._store, token_id, before, after, lambda: admin.revoke_token(token_id, at_us))


async def _made(store: Store, subject: str | None, before: Any, after: Any, change: Callable[[], Awaitable[T]]) -> T:
    line = await begin(store, subject, before)
    outcome: ChangeOutcome = "failed"
    try:
        found = await change()
        outcome = "refused" if found is None or found is False else "done"
    except FarthingError as error:
        outcome = outcome_of(error)
        raise
    finally:
        await end(store, line, outcome, after)
    return found


def _shown(thing: Any) -> dict[str, Any] | None:
    if thing is None or isinstance(thing, dict):
        return thing
    fields = {name: getattr(thing, name) for name in thing.__struct_fields__ if name not in _SECRETS}
    shown: dict[str, Any] = msgspec.to_builtins(fields)
    return shown


def _action() -> str:
    context = click.get_current_context(silent=True)
    words: list[str] = []
    while context is not None and context.parent is not None:
        words.insert(0, context.info_name or "")
        context = context.parent
    name = ".".join(words) or "cli"
    return _NAMES.get(name, name)


def _account() -> str:
    """Return the name of the account that the process runs under."""
    try:
        import pwd  # noqa: PLC0415  (Windows has none)
    except ImportError:
        return os.getlogin()
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # an account without a name, as in many containers
        return str(os.getuid())
