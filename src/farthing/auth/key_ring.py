"""The keys that count now, in memory: from a token to its owner in two microseconds.

The ring is looked up by the token's HMAC, so the comparison's time tells nothing about a key: whoever does not know
the pepper cannot steer the digest. It follows the store's change counter, so that a key revoked by another process
stops here within a second; when the store is away, the keys known last go on counting, as every client would otherwise
be locked out by a full disk.
"""

import asyncio
from difflib import get_close_matches

import msgspec

from farthing.auth.keys import PREFIX, SHOWN_LENGTH, TOKEN_LENGTH, Hasher, is_well_formed, new_token
from farthing.clock import Clock
from farthing.errors import InvalidKey, InvalidRequest, StoreError
from farthing.storage.protocols import KeyRecord, KeyStore
from farthing.types.identity import IdSource, RandomBytes
from farthing.types.principal import Principal
from farthing.types.secret import Secret

POLL_S = 0.5
"""A revoked key must stop within a second."""

LOOK_AGAIN_S = 0.05
"""Whoever sends made-up keys with a right checksum makes the store answer one small question as often as this."""

MAX_NAME_LENGTH = 64
DEFAULT_NAME = "my-app"
_NAME_TRIES = 100  # processes that make keys without a name at the same moment


class KeyRing:
    """Verifies keys, and makes, lists, revokes and renames them."""

    def __init__(
        self, store: KeyStore, pepper: bytes, *, clock: Clock, ids: IdSource, random_bytes: RandomBytes
    ) -> None:
        self._store = store
        self._hasher = Hasher(pepper)
        self._clock = clock
        self._ids = ids
        self._random_bytes = random_bytes
        self._owners: dict[bytes, Principal] = {}
        self._expiring: dict[bytes, int] = {}
        """When each key of `_owners` ends that does by itself, soonest first."""
        self._expired: dict[bytes, int] = {}
        """Which ended so, and when: for the message alone. As many as the store has keys."""
        self._counter: int | None = None
        self._looked_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None
        self.failed_polls = 0

    def verify(self, token: str | bytes) -> Principal:
        """Return the key's owner.

        Raises:
            InvalidKey: it is not one of ours, or is revoked. The message never holds the key.
        """
        if len(token) == TOKEN_LENGTH:  # bounds the hashing before it begins
            try:
                owner = self._owners.get(self._hasher.digest(token.encode() if isinstance(token, str) else token))
            except UnicodeEncodeError:
                owner = None
            if owner is not None:
                return owner
        raise self._refusal(token)

    async def look_again(self, token: str | bytes) -> Principal:
        """Verify once more after asking the store: a key made a moment ago works at once, not at the next poll.

        Raises:
            InvalidKey: as `verify`. The store is asked for well-formed keys only, by all who wait together, and at
                most every `LOOK_AGAIN_S`.
        """
        text = token.decode("latin-1") if isinstance(token, bytes) else token
        if is_well_formed(text):
            if self._looking is None:
                self._looking = asyncio.create_task(self._look())
            await asyncio.shield(self._looking)
        return self.verify(token)

    async def _look(self) -> None:
        try:
            await asyncio.sleep(self._looked_at + LOOK_AGAIN_S - self._clock.monotonic())
            await self.refresh()
        except StoreError:
            self.failed_polls += 1
        finally:
            self._looked_at = self._clock.monotonic()
            self._looking = None

    async def refresh(self) -> None:
        """Take over the keys as the store has them now.

        Raises:
            StoreError: the store cannot be read; the keys known last go on counting.
        """
        self._let_expire()
        counter = await self._store.change_counter()  # before the keys: a change in between is seen at the next poll
        if counter == self._counter:
            return
        records = await self._store.keys()
        kept = [record for record in records if record.revoked_at_us is None]
        ends = [(record.expires_at_us, record.digest) for record in kept if record.expires_at_us is not None]
        self._owners = {record.digest: _principal(record) for record in kept}
        self._expiring = {digest: at_us for at_us, digest in sorted(ends)}
        self._expired = {}
        self._let_expire()
        self._counter = counter

    def _let_expire(self) -> None:
        """Forget the keys whose time is over: with every look at the store, so that a call need not compare times."""
        now_us = self._clock.now_us()
        while self._expiring:
            digest, at_us = next(iter(self._expiring.items()))
            if now_us < at_us:
                return
            del self._expiring[digest], self._owners[digest]
            self._expired[digest] = at_us

    def _refusal(self, token: str | bytes) -> InvalidKey:
        text = token.decode("latin-1") if isinstance(token, bytes) else token
        if self._expired and is_well_formed(text) and self._hasher.digest(text.encode()) in self._expired:
            return InvalidKey("This key was for a time, which is over.", hint='start the agent anew ("farthing run").')
        return _invalid(text)

    async def follow(self, interval_s: float = POLL_S) -> None:
        """Refresh every `interval_s`, until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            try:
                await self.refresh()
            except StoreError:
                self.failed_polls += 1  # shown by whoever reports health; the store's own state says why

    async def create(
        self,
        name: str | None = None,
        *,
        organisation: str = "default",
        team: str | None = None,
        project: str | None = None,
        user: str | None = None,
        session: str | None = None,
        task: str | None = None,
        branch: str | None = None,
        pull_request: str | None = None,
        lifetime_s: int | None = None,
    ) -> tuple[KeyRecord, Secret]:
        """Make a key and return it, for the only time; without a name it becomes `my-app-1`, `my-app-2`, ...

        With `lifetime_s` it ends after so long by itself.

        Raises:
            InvalidRequest: the name is taken or no good.
        """
        checked = None if name is None else _checked_name(name)
        token = new_token(self._random_bytes)
        now_us = self._clock.now_us()
        record = KeyRecord(
            id=self._ids.new("key"),
            name=checked or "",
            shown=token[:SHOWN_LENGTH],
            digest=self._hasher.digest(token.encode()),
            created_at_us=now_us,
            organisation=organisation,
            team=team,
            project=project,
            user=user,
            session=session,
            task=task,
            branch=branch,
            pull_request=pull_request,
            expires_at_us=None if lifetime_s is None else now_us + lifetime_s * 1_000_000,
        )
        if checked is not None:
            if not await self._store.add_key(record):
                raise _taken(checked)
        else:
            record = await self._add_with_default_name(record)
        await self.refresh()
        return record, Secret(token)

    async def keys(self) -> list[KeyRecord]:
        """Return every key, revoked ones too, oldest first."""
        return await self._store.keys()

    async def revoke(self, id_or_name: str) -> KeyRecord:
        """Revoke a key, here at once and in other processes within a second; return it as it is now.

        Raises:
            InvalidRequest: there is no such key, or it is revoked already.
        """
        record = await self._find(id_or_name)
        at_us = self._clock.now_us()
        if not await self._store.revoke_key(record.id, at_us):
            raise InvalidRequest(f"The key {record.name!r} is revoked already.")
        await self.refresh()
        return msgspec.structs.replace(record, revoked_at_us=at_us)

    async def rename(self, id_or_name: str, name: str) -> KeyRecord:
        """Give a key another name; return it as it is now. What it spent before shows under the new name too.

        Raises:
            InvalidRequest: there is no such key, or the name is taken or no good.
        """
        record = await self._find(id_or_name)
        name = _checked_name(name)
        if not await self._store.rename_key(record.id, name):
            raise _taken(name)
        await self.refresh()
        return msgspec.structs.replace(record, name=name)

    async def _add_with_default_name(self, record: KeyRecord) -> KeyRecord:
        number = 1
        taken = {one.name for one in await self._store.keys()}
        for _ in range(_NAME_TRIES):
            while f"{DEFAULT_NAME}-{number}" in taken:
                number += 1
            named = msgspec.structs.replace(record, name=f"{DEFAULT_NAME}-{number}")
            if await self._store.add_key(named):
                return named
            number += 1  # another process took it just now
        raise InvalidRequest("No name is free for the new key.", hint="give it one with --name.")

    async def _find(self, id_or_name: str) -> KeyRecord:
        records = await self._store.keys()
        for record in records:
            if id_or_name in (record.id, record.name):
                return record
        names = [record.name for record in records] + [record.id for record in records]
        near = get_close_matches(id_or_name, names, n=3)
        raise InvalidRequest(
            f"Unknown key {_safe(id_or_name)!r}" + (f"; nearest: {', '.join(near)}." if near else "."),
            hint='run "farthing keys list".',
        )


def _principal(record: KeyRecord) -> Principal:
    return Principal(
        key_id=record.id,
        key_name=record.name,
        organisation=record.organisation,
        team=record.team,
        project=record.project,
        user=record.user,
        session=record.session,
        task=record.task,
        branch=record.branch,
        pull_request=record.pull_request,
    )


def _invalid(text: str) -> InvalidKey:
    if not text:
        return InvalidKey("No key was sent.", hint='make one with "farthing keys create".')
    if not text.startswith(PREFIX):
        return InvalidKey(
            f"This is not a Farthing key: those begin with {PREFIX!r}.",
            hint='send the client key that Farthing printed, not a provider\'s; "farthing keys create" makes one.',
        )
    if not is_well_formed(text):
        return InvalidKey("This key is incomplete or mistyped: its checksum is wrong.", hint="copy it again, whole.")
    return InvalidKey("This key is unknown or revoked.", hint='make one with "farthing keys create".')


def _checked_name(name: str) -> str:
    if not 1 <= len(name) <= MAX_NAME_LENGTH or not name.isprintable() or name != name.strip():
        raise InvalidRequest(
            f"{name[:MAX_NAME_LENGTH]!r} is no name for a key.",
            hint=f"a name is 1 to {MAX_NAME_LENGTH} printable characters without spaces around it.",
        )
    if name.startswith(PREFIX) and len(name) >= TOKEN_LENGTH:
        raise InvalidRequest("That looks like a key, not like a name: names are shown everywhere.")
    return name


def _taken(name: str) -> InvalidRequest:
    return InvalidRequest(
        f"A key named {name!r} exists already.",
        hint='choose another name, or rename that one ("farthing keys rename").',
    )


def _safe(id_or_name: str) -> str:
    """Keep a key that was pasted in the place of its name out of messages and logs."""
    return f"{id_or_name[:SHOWN_LENGTH]}..." if id_or_name.startswith(PREFIX) else id_or_name
