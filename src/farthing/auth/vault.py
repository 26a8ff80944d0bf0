"""The vault: providers' credentials, sealed in the store, and opened here for the gateway and the operator.

Every change compares what is kept with what was read and takes its turn again where somebody else was first, so that
two people, or a change of the master key and a new credential, cannot undo each other. Whatever goes wrong with the
key is said before anything is changed; and while anything is sealed no new key is ever made.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from difflib import get_close_matches
from functools import partial

import msgspec

from farthing.auth.master_key import MasterKeys
from farthing.auth.sealing import MasterKey, Sealed, seal, unseal
from farthing.clock import Clock
from farthing.errors import InvalidRequest, RecordTampered, StoreError, VaultLocked
from farthing.storage.protocols import CredentialRecord, CredentialStore
from farthing.types.credentials import NO_QUOTAS, Quotas
from farthing.types.identity import IdSource, RandomBytes
from farthing.types.offload import Offload
from farthing.types.secret import Secret

MAX_RECORDS = 256
"""All of them are read at once; ten accounts at each known provider are 250."""
MAX_WEIGHT = 1_000
MAX_SECRET_BYTES = 16_384
"""What fits into a header block; see `config/credentials.py`."""
_OUR_KEY = "ft-"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_TURNS = 20
"""Tries to change what others are changing too; each is lost to somebody's success."""


class Held(msgspec.Struct, frozen=True):
    """A credential of the vault: its record, and its secret or why there is none."""

    record: CredentialRecord
    secret: Secret | None = None
    problem: str | None = None


class Vault:
    """Opens, adds, changes and removes credentials; the master key is read on a thread, and only where it is needed."""

    def __init__(
        self,
        store: CredentialStore,
        keys: MasterKeys,
        offload: Offload,
        *,
        clock: Clock,
        ids: IdSource,
        random_bytes: RandomBytes,
    ) -> None:
        self._store = store
        self._keys = keys
        self._offload = offload
        self._clock = clock
        self._ids = ids
        self._random_bytes = random_bytes
        self._known_keys: dict[str, MasterKey] = {}  # as many as records name

    async def counter(self) -> int:
        """Return a number that grew with every change; raises `StoreError`."""
        return await self._store.counter()

    async def records(self) -> list[CredentialRecord]:
        """Return every record, disabled ones too, oldest first. Needs no master key."""
        return await self._store.records()

    async def record(self, name: str) -> CredentialRecord:
        """Return the record of this name or id; raises `InvalidRequest` where there is none."""
        return _named(await self._store.records(), name)

    async def held(self) -> list[Held]:
        """Return every credential that is enabled, opened where that can be; raises `StoreError` alone."""
        records = [record for record in await self._store.records() if record.enabled]
        keys: dict[str, MasterKey | str] = {}
        for key_id in dict.fromkeys(record.key_id for record in records):
            try:
                keys[key_id] = await self._key(key_id)
            except VaultLocked as error:
                keys[key_id] = str(error)
        self._known_keys = {name: key for name, key in keys.items() if isinstance(key, MasterKey)}
        return [_opened(record, keys[record.key_id]) for record in records]

    async def secret(self, name: str) -> tuple[CredentialRecord, Secret]:
        """Return one credential, opened.

        Raises:
            InvalidRequest: there is none of that name.
            VaultLocked: the master key is not there, or is another one.
            RecordTampered: it is not what was sealed.
        """
        record = _named(await self._store.records(), name)
        return record, _open(record, await self._key(record.key_id))

    async def add(
        self, provider: str, secret: Secret, *, name: str | None = None, weight: int = 1, quotas: Quotas = NO_QUOTAS
    ) -> CredentialRecord:
        """Seal a secret and keep it; without a name it becomes `openai-1`, `openai-2`, ...

        Raises:
            InvalidRequest: the name is taken or no good, the secret cannot be one, or the vault is full.
            VaultLocked: the master key is not there, or is another one.
        """
        _check_secret(secret)
        _check_weight(weight)
        if name is not None and not _NAME.fullmatch(name):
            raise InvalidRequest(
                f"{name[:64]!r} is no name for a credential.",
                hint="letters, digits, '.', '_' and '-', up to 64 of them; it is shown everywhere, so not the secret.",
            )
        record_id, now_us = self._ids.new("cred"), self._clock.now_us()

        async def added(records: list[CredentialRecord]) -> list[CredentialRecord]:
            if len(records) >= MAX_RECORDS:
                raise InvalidRequest(f"The vault holds {MAX_RECORDS} credentials; remove one that is not used.")
            taken = {record.name for record in records}
            if name in taken:
                raise InvalidRequest(
                    f"A credential named {name!r} exists already.",
                    hint='choose another name, or give that one a new secret ("farthing credentials rotate").',
                )
            sealed = await self._sealed(secret, record_id, provider, records)
            made = CredentialRecord(
                id=record_id,
                provider=provider,
                name=name or next(free for n in range(1, MAX_RECORDS + 2) if (free := f"{provider}-{n}") not in taken),
                weight=weight,
                enabled=True,
                created_at_us=now_us,
                quotas=quotas,
                ciphertext=sealed.ciphertext,
                nonce=sealed.nonce,
                key_id=sealed.key_id,
            )
            return [*records, made]

        return next(one for one in await self._change(added) if one.id == record_id)

    async def rotate(self, name: str, secret: Secret) -> CredentialRecord:
        """Put a new secret in the place of the old one; raises as `add` and `secret` do."""
        _check_secret(secret)

        async def rotated(records: list[CredentialRecord]) -> list[CredentialRecord]:
            record = _named(records, name)
            sealed = await self._sealed(secret, record.id, record.provider, records)
            changed = _put(record, sealed)
            return _with(records, msgspec.structs.replace(changed, rotated_at_us=self._clock.now_us()))

        return _named(await self._change(rotated), name)

    async def change(
        self, name: str, *, enabled: bool | None = None, weight: int | None = None, quotas: Quotas | None = None
    ) -> CredentialRecord:
        """Change what stands beside the secret, which needs no master key; raises `InvalidRequest`."""
        if weight is not None:
            _check_weight(weight)
        told = {"enabled": enabled, "weight": weight, "quotas": quotas}
        fields = {field: value for field, value in told.items() if value is not None}

        async def changed(records: list[CredentialRecord]) -> list[CredentialRecord]:
            return _with(records, msgspec.structs.replace(_named(records, name), **fields))

        return _named(await self._change(changed), name)

    async def remove(self, name: str | None) -> list[CredentialRecord]:
        """Forget a credential, or all of them for `None`, which needs no master key; return those that were there."""
        gone: list[CredentialRecord] = []

        async def removed(records: list[CredentialRecord]) -> list[CredentialRecord]:
            gone[:] = records if name is None else [_named(records, name)]
            return [record for record in records if record not in gone]

        await self._change(removed)
        return gone

    async def change_master_key(self) -> tuple[int, str]:
        """Seal everything under another master key, in one transaction; return how many were, and where the key is.

        Raises:
            InvalidRequest: nothing is sealed.
            VaultLocked: the key is missing, another one, or not ours to change.
            RecordTampered: a record is not what was sealed; nothing was changed.
        """
        with self._keys.changing():
            records = await self._store.records()
            if not records:
                raise InvalidRequest("The vault is empty, so there is no master key to change.")
            in_use = [await self._key(key_id) for key_id in dict.fromkeys(record.key_id for record in records)]
            for record in records:  # before anything is touched, also the place where the key is kept
                _open(record, await self._key(record.key_id))
            change = await self._offload.run(partial(self._keys.begin_change, in_use))

            async def resealed(records: list[CredentialRecord]) -> list[CredentialRecord]:
                return [self._under(change.key, one, _open(one, await self._key(one.key_id))) for one in records]

            done = await self._change(resealed)
            # Only now: until here what is sealed could be opened by the old key alone.
            await self._offload.run(change.finish)
        return len(done), change.place

    async def _change(
        self, work: Callable[[list[CredentialRecord]], Awaitable[list[CredentialRecord]]]
    ) -> list[CredentialRecord]:
        """Keep what `work` makes of the records, and return it."""
        for _ in range(_TURNS):
            before = await self._store.records()
            after = await work(list(before))
            if await self._store.swap(before, after):
                return after
        raise StoreError(
            f"The vault was changed by others {_TURNS} times while it was to be changed.", hint="try again."
        )

    async def _key(self, key_id: str) -> MasterKey:
        if key_id in self._known_keys:
            return self._known_keys[key_id]
        return await self._offload.run(partial(self._keys.find, key_id))

    async def _sealed(
        self, secret: Secret, record_id: str, provider: str, records: Sequence[CredentialRecord]
    ) -> Sealed:
        """Return a secret, sealed under the key of what is sealed already, else under the current one."""
        key = await (self._key(records[-1].key_id) if records else self._offload.run(self._keys.current))
        return seal(secret, key, record_id=record_id, provider=provider, random_bytes=self._random_bytes)

    def _under(self, key: MasterKey, record: CredentialRecord, secret: Secret) -> CredentialRecord:
        sealed = seal(secret, key, record_id=record.id, provider=record.provider, random_bytes=self._random_bytes)
        return _put(record, sealed)


def _put(record: CredentialRecord, sealed: Sealed) -> CredentialRecord:
    return msgspec.structs.replace(record, ciphertext=sealed.ciphertext, nonce=sealed.nonce, key_id=sealed.key_id)


def _opened(record: CredentialRecord, key: MasterKey | str) -> Held:
    if isinstance(key, str):
        return Held(record, problem=key)
    try:
        return Held(record, _open(record, key))
    except RecordTampered as error:
        return Held(record, problem=str(error))


def _open(record: CredentialRecord, key: MasterKey) -> Secret:
    sealed = Sealed(record.ciphertext, record.nonce, record.key_id)
    return unseal(sealed, key, record_id=record.id, provider=record.provider)


def _named(records: Sequence[CredentialRecord], name: str) -> CredentialRecord:
    for record in records:
        if name in (record.id, record.name):
            return record
    near = get_close_matches(name, [record.name for record in records], n=3)
    # What is no name may be a secret that was pasted in the place of one.
    shown = repr(name) if _NAME.fullmatch(name) and len(name) < 20 else "of that name (not shown)"
    raise InvalidRequest(
        f"Unknown credential {shown}" + (f"; nearest: {', '.join(near)}." if near else "."),
        hint='run "farthing credentials list".',
    )


def _with(records: list[CredentialRecord], changed: CredentialRecord) -> list[CredentialRecord]:
    return [changed if record.id == changed.id else record for record in records]


def _check_weight(weight: int) -> None:
    if not 1 <= weight <= MAX_WEIGHT:
        raise InvalidRequest(f"A weight is from 1 to {MAX_WEIGHT}, not {weight}.")


def _check_secret(secret: Secret) -> None:
    value = secret.reveal()
    if not value:
        raise InvalidRequest("No secret was given.", hint="type it, or pipe it in: it is read from standard input.")
    if value.startswith(_OUR_KEY):
        raise InvalidRequest(
            f"That is a Farthing key ({_OUR_KEY}...), which is for clients.", hint="give the provider's own key."
        )
    if len(value) > MAX_SECRET_BYTES or not value.isascii() or not value.isprintable() or " " in value:
        raise InvalidRequest("That cannot be a credential (not shown): no header can carry it.")
