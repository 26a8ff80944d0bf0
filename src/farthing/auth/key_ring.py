"""The keys of an installation: makes them, changes them, and knows which count now.

Every change is read, thought over and kept only where the key is still as it was read, so that two processes that
change one key at the same moment both have their way. Whatever is done here counts here at once; other processes
follow within a second (`known_keys.py`).
"""

from collections.abc import Awaitable, Callable
from typing import Unpack

import msgspec

from farthing.auth.key_forms import KeyFields, changed, checked, checked_name, no_such_key, taken
from farthing.auth.keys import SHOWN_LENGTH, new_token
from farthing.auth.known_keys import KnownKeys
from farthing.clock import Clock
from farthing.errors import InvalidRequest
from farthing.storage.protocols import KeyRecord, KeyStore, OldSecret
from farthing.types.identity import IdSource, RandomBytes
from farthing.types.secret import Secret

DEFAULT_NAME = "my-app"
_NAME_TRIES = 100  # processes that make keys without a name at the same moment
_CHANGE_TRIES = 20  # processes that change one key at the same moment
_LOOKED_THROUGH = 1_000
"""Names that an unknown one is compared with: 10 ms."""

DEFAULT_GRACE_S = 86_400
"""How long a rotated key's old secret is taken beside the new one: a day, in which whoever uses it is reached."""
MAX_GRACE_S = 30 * 86_400
"""A secret that should go and stays longer has not been rotated."""
MAX_OLD_SECRETS = 4
"""Secrets of before that are known: a key rotated more often within its grace loses the oldest at once."""


_First = Callable[[KeyRecord], Awaitable[None]]


class KeyRing(KnownKeys):
    """Verifies, makes, lists and changes keys; `id_or_name` is a key's id or its name of now."""

    def __init__(
        self, store: KeyStore, pepper: bytes, *, clock: Clock, ids: IdSource, random_bytes: RandomBytes
    ) -> None:
        super().__init__(store, pepper, clock=clock)
        self._ids = ids
        self._random_bytes = random_bytes

    async def create(
        self,
        name: str | None = None,
        *,
        lifetime_s: int | None = None,
        expires_at_us: int | None = None,
        first: _First | None = None,
        **fields: Unpack[KeyFields],
    ) -> tuple[KeyRecord, Secret]:
        """Make a key and return it, for the only time; without a name it becomes `my-app-1`, `my-app-2`, ...

        With `lifetime_s` it ends after so long by itself, with `expires_at_us` at that time. `first` keeps what must be
        known of the key before anybody can use it, such as its budget; it may be called again with another name.

        Raises:
            InvalidRequest: the name is taken, or something of it is no good.
        """
        known = checked(fields)
        token = new_token(self._random_bytes)
        now_us = self.clock.now_us()
        bare = KeyRecord(
            id=self._ids.new("key"),
            name="" if name is None else checked_name(name),
            shown=token[:SHOWN_LENGTH],
            digest=self.hasher.digest(token.encode()),
            created_at_us=now_us,
            expires_at_us=expires_at_us if lifetime_s is None else now_us + lifetime_s * 1_000_000,
        )
        record = changed(bare, known)
        kept = await (self._add_with_default_name(record, first) if name is None else self._add(record, first))
        if kept is None:
            raise taken(record.name)
        self.take(kept)
        return kept, Secret(token)

    async def keys(self) -> list[KeyRecord]:
        """Return every key but the deleted ones, revoked ones too, oldest first."""
        return await self.store.keys()

    async def find(self, id_or_name: str) -> KeyRecord:
        """Return a key.

        Raises:
            InvalidRequest: there is no such key; the message names the nearest.
        """
        record = await self.store.key(id_or_name) if id_or_name.isprintable() else None
        if record is None:
            raise no_such_key(id_or_name, await self.store.key_names(_LOOKED_THROUGH))
        return record

    async def change(self, id_or_name: str, **fields: Unpack[KeyFields]) -> KeyRecord:
        """Change what a key says of its calls from now on, and what it may be used for; return it as it is now.

        Raises:
            InvalidRequest: there is no such key, or something is no good.
        """
        known = checked(fields)
        return await self._change(id_or_name, lambda record: changed(record, known))

    async def rename(self, id_or_name: str, name: str) -> KeyRecord:
        """Give a key another name; return it as it is now. What it spent before shows under the new name too.

        Raises:
            InvalidRequest: there is no such key, or the name is taken or no good.
        """
        name = checked_name(name)
        return await self._change(id_or_name, lambda record: msgspec.structs.replace(record, name=name))

    async def revoke(self, id_or_name: str) -> KeyRecord:
        """Revoke a key for good, here at once and in other processes within a second; return it as it is now.

        Raises:
            InvalidRequest: there is no such key, or it is revoked already.
        """

        def revoked(record: KeyRecord) -> KeyRecord:
            return msgspec.structs.replace(_unrevoked(record), revoked_at_us=self.clock.now_us(), old_secrets=())

        return await self._change(id_or_name, revoked)

    async def disable(self, id_or_name: str) -> KeyRecord:
        """Refuse a key until it is enabled again; a key that is disabled stays so. Raises as `revoke`."""

        def disabled(record: KeyRecord) -> KeyRecord:
            at_us = self.clock.now_us() if record.disabled_at_us is None else record.disabled_at_us
            return msgspec.structs.replace(_unrevoked(record), disabled_at_us=at_us)

        return await self._change(id_or_name, disabled)

    async def enable(self, id_or_name: str) -> KeyRecord:
        """Take a disabled key again. Raises as `revoke`."""
        return await self._change(
            id_or_name, lambda record: msgspec.structs.replace(_unrevoked(record), disabled_at_us=None)
        )

    async def expire(self, id_or_name: str, at_us: int | None) -> KeyRecord:
        """Let a key end at a time, which may be over, or never (`None`); return it as it is now. Raises as `revoke`."""
        return await self._change(
            id_or_name, lambda record: msgspec.structs.replace(_unrevoked(record), expires_at_us=at_us)
        )

    async def delete(self, id_or_name: str) -> KeyRecord:
        """Forget a key; what it spent stays under its name. The name is free again, the id never is.

        Raises:
            InvalidRequest: there is no such key.
        """
        at_us = self.clock.now_us()

        def deleted(record: KeyRecord) -> KeyRecord:
            revoked_at_us = at_us if record.revoked_at_us is None else record.revoked_at_us
            gone = msgspec.structs.replace(record, deleted_at_us=at_us, revoked_at_us=revoked_at_us)
            return msgspec.structs.replace(gone, digest=b"", old_secrets=())

        return await self._change(id_or_name, deleted)

    async def rotate(self, id_or_name: str, *, grace_s: int = DEFAULT_GRACE_S) -> tuple[KeyRecord, Secret]:
        """Give a key a new secret and return it, for the only time; the old one is taken for `grace_s` more.

        So are those from before, and no longer: after a leak, `grace_s=0` ends them all.

        Raises:
            InvalidRequest: there is no such key, it is revoked or its time is over, or the grace is out of bounds.
        """
        if not 0 <= grace_s <= MAX_GRACE_S:
            raise InvalidRequest(
                f"A grace of {grace_s} s is out of bounds.",
                hint=f"it is 0 to {MAX_GRACE_S} s ({MAX_GRACE_S // 86400} d).",
            )
        token = new_token(self._random_bytes)
        now_us = self.clock.now_us()
        ends_us = now_us + grace_s * 1_000_000

        def rotated(record: KeyRecord) -> KeyRecord:
            if _unrevoked(record).state(now_us) == "expired":
                raise InvalidRequest(
                    f"The time of the key {record.name!r} is over.",
                    hint=f'"farthing keys expire {record.name} --never" gives more.',
                )
            before = (OldSecret(record.digest, record.shown, ends_us), *record.old_secrets)
            return msgspec.structs.replace(
                record,
                shown=token[:SHOWN_LENGTH],
                digest=self.hasher.digest(token.encode()),
                rotated_at_us=now_us,
                old_secrets=tuple(
                    msgspec.structs.replace(old, ends_at_us=min(old.ends_at_us, ends_us))
                    for old in before[:MAX_OLD_SECRETS]
                ),
            )

        return await self._change(id_or_name, rotated), Secret(token)

    async def _change(self, id_or_name: str, change: Callable[[KeyRecord], KeyRecord]) -> KeyRecord:
        """Read, change and keep a key, again where another process was faster."""
        for _ in range(_CHANGE_TRIES):
            record = await self.find(id_or_name)
            id_or_name = record.id  # its name may be another key's by the next try
            wanted = change(record)
            if wanted.name != record.name and await self.store.key(wanted.name) is not None:
                raise taken(wanted.name)
            kept = await self.store.change_key(wanted)
            if kept is not None:
                self.take(kept)
                return kept
        raise InvalidRequest(f"The key {id_or_name!r} is being changed by others all the time.", hint="try again.")

    async def _add(self, record: KeyRecord, first: _First | None) -> KeyRecord | None:
        if first is not None:
            await first(record)
        return await self.store.add_key(record)

    async def _add_with_default_name(self, record: KeyRecord, first: _First | None) -> KeyRecord:
        for _ in range(_NAME_TRIES):
            number = await self.store.free_key_number(f"{DEFAULT_NAME}-")
            kept = await self._add(msgspec.structs.replace(record, name=f"{DEFAULT_NAME}-{number}"), first)
            if kept is not None:
                return kept  # else another process took it just now
        raise InvalidRequest("No name is free for the new key.", hint="give it one with --name.")


def _unrevoked(record: KeyRecord) -> KeyRecord:
    if record.revoked_at_us is not None:
        raise InvalidRequest(
            f"The key {record.name!r} is revoked already.", hint='"farthing keys create" makes another.'
        )
    return record
