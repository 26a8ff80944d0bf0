"""The keys that count now, in memory: from a token to its owner in two microseconds.

The ring is looked up by the token's HMAC, so the comparison's time tells nothing about a key: whoever does not know
the pepper cannot steer the digest. It follows the store's change counter, so that a key revoked by another process
stops here within a second; when the store is away, the keys known last go on counting, as every client would otherwise
be locked out by a full disk.

What surprised us: to read 100,000 keys anew because one was made stopped the event loop for half a second. So only what
changed is read, a page at a time, and whoever makes or changes a key takes it over from the store's answer.
"""

import asyncio
import heapq
from collections.abc import Awaitable, Callable

import msgspec

from farthing.auth.keys import TOKEN_LENGTH, Hasher, is_well_formed
from farthing.auth.refusals import Refused, refusal, unknown
from farthing.clock import Clock
from farthing.errors import InvalidKey, KeyDisabled, KeyExpired, StoreError
from farthing.storage.protocols import KeyRecord, KeyStore
from farthing.types.principal import KeyRules, Principal

POLL_S = 0.5
"""A revoked key must stop within a second."""

LOOK_AGAIN_S = 0.05
"""Whoever sends made-up keys with a right checksum makes the store answer one small question as often as this."""

PAGE = 500
"""Keys taken over at a time: the loop stands still for 2 ms, the p99 of a call's own work."""

NOT_NOW = (InvalidKey, KeyDisabled, KeyExpired)
"""Refusals of a key that another process may have lifted a moment ago."""

_LEAST_ENDS = 1_000
"""Ends by the clock that may wait before those that no longer hold are sorted out."""


class _Known(msgspec.Struct, frozen=True, gc=False):
    """How a key was when it was taken over: the number of that change, and all its digests."""

    changed: int
    digests: tuple[bytes, ...]


class KnownKeys:
    """Verifies keys, and follows the store."""

    def __init__(self, store: KeyStore, pepper: bytes, *, clock: Clock) -> None:
        self.store = store
        self.hasher = Hasher(pepper)
        self.clock = clock
        self._owners: dict[bytes, Principal] = {}
        self._refused: dict[bytes, Refused] = {}
        """Keys that are ours and do not count: for the answer alone. As many as the store has keys."""
        self._known: dict[str, _Known] = {}
        self._ends: list[tuple[int, bytes, str, int, Refused]] = []
        """A heap of when a digest ends by itself, its key's id, the change after which that was so, and the answer."""
        self._sort_out_at = _LEAST_ENDS
        self._organisations: dict[str | None, set[str]] = {None: set()}
        """Which organisations have keys, and of each team's name those that have one of such a team. Who had one stays:
        what it spent is in the sums. At most as many as there were keys."""
        self._counter: int | None = None
        self._refreshing = asyncio.Lock()
        self._looked_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None
        self.failed_polls = 0
        self.beforehand: Callable[[], Awaitable[object]] | None = None
        """Is awaited before new or changed keys count: whoever makes a key with a budget keeps the budget first, and no
        process may know the one without the other."""

    def __len__(self) -> int:
        """How many secrets are taken now."""
        return len(self._owners)

    def verify(self, token: str | bytes) -> Principal:
        """Return the key's owner.

        Raises:
            InvalidKey: it is not one of ours, or is revoked. The message never holds the key.
            KeyDisabled: it is disabled.
            KeyExpired: its time is over, or it was rotated and the time of grace is over.
        """
        if len(token) == TOKEN_LENGTH:  # bounds the hashing before it begins
            try:
                owner = self._owners.get(self.hasher.digest(token.encode() if isinstance(token, str) else token))
            except UnicodeEncodeError:
                owner = None
            if owner is not None:
                return owner
        text = token.decode("latin-1") if isinstance(token, bytes) else token
        why = self._refused.get(self.hasher.digest(text.encode())) if is_well_formed(text) else None
        raise unknown(text) if why is None else refusal(why)

    def owner(self, digest: bytes) -> Principal | None:
        """Return whose the key of this digest is (`hasher`); `None` where it does not count now, and `verify` tells."""
        return self._owners.get(digest)

    def elsewhere(self, organisation: str | None, team: str | None) -> bool:
        """Whether another organisation has keys that are known here, of such a team where one is named."""
        return bool(self._organisations.get(team, set()) - {organisation})

    async def look_again(self, token: str | bytes) -> Principal:
        """Verify once more after asking the store: a key made a moment ago works at once, not at the next poll.

        Raises:
            InvalidKey, KeyDisabled, KeyExpired: as `verify`. The store is asked for well-formed keys only, by all who
                wait together, and at most every `LOOK_AGAIN_S`.
        """
        text = token.decode("latin-1") if isinstance(token, bytes) else token
        if is_well_formed(text):
            if self._looking is None:
                self._looking = asyncio.create_task(self._look())
            await asyncio.shield(self._looking)
        return self.verify(token)

    async def _look(self) -> None:
        try:
            await asyncio.sleep(self._looked_at + LOOK_AGAIN_S - self.clock.monotonic())
            await self.refresh()
        except StoreError:
            self.failed_polls += 1
        finally:
            self._looked_at = self.clock.monotonic()
            self._looking = None

    async def follow(self, interval_s: float = POLL_S) -> None:
        """Refresh every `interval_s`, until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            try:
                await self.refresh()
            except StoreError:
                self.failed_polls += 1  # shown by whoever reports health; the store's own state says why

    async def refresh(self) -> None:
        """Take over what changed in the store, page by page; the loop goes on between two.

        Raises:
            StoreError: the store cannot be read; the keys known last go on counting.
        """
        async with self._refreshing:
            await self._let_end()
            counter = await self.store.change_counter()  # before the keys: a change in between is read twice at most
            if counter == self._counter:
                return
            after = self._counter or 0
            if counter < after:  # an older state was put back under us: nothing that is known holds
                after = 0
                for kept in (self._owners, self._refused, self._known, self._ends):
                    kept.clear()
            while page := await self.store.changed_keys(after, PAGE):
                if self.beforehand is not None:
                    await self.beforehand()
                for record in page:
                    self.take(record)
                after = page[-1].changed
                if len(page) < PAGE:
                    break
            self._counter = max(counter, after)

    def take(self, record: KeyRecord) -> None:
        """Take over a key as the store has it; one that is older than what is known already changes nothing."""
        known = self._known.get(record.id)
        gone = record.revoked_at_us is not None or record.deleted_at_us is not None
        if known is None and gone:
            return
        if known is not None:
            if record.changed <= known.changed:
                return
            for digest in known.digests:
                self._owners.pop(digest, None)
                self._refused.pop(digest, None)
        if gone:
            self._known[record.id] = _Known(record.changed, ())
            return
        self._known[record.id] = _Known(record.changed, (record.digest, *(old.digest for old in record.old_secrets)))
        owner = _principal(record)
        self._organisations[None].add(owner.organisation)
        if owner.team is not None:
            self._organisations.setdefault(owner.team, set()).add(owner.organisation)
        self._admit(record, owner, record.digest, None)
        for old in record.old_secrets:
            self._admit(record, owner, old.digest, old.ends_at_us)
        if len(self._ends) > self._sort_out_at:
            self._sort_out_ends()

    def _admit(self, record: KeyRecord, owner: Principal, digest: bytes, grace_ends_us: int | None) -> None:
        ends = [at_us for at_us in (record.expires_at_us, grace_ends_us) if at_us is not None]
        end_us = min(ends, default=None)
        disabled = record.disabled_at_us is not None
        if end_us is not None:
            over = Refused(
                "replaced" if end_us == grace_ends_us else "over", end_us, session=record.session is not None
            )
            if end_us <= self.clock.now_us():
                self._refused[digest] = over
                return
            heapq.heappush(self._ends, (end_us, digest, record.id, record.changed, over))
        if disabled:
            self._refused[digest] = Refused("disabled", record.disabled_at_us or 0)
        else:
            self._owners[digest] = owner

    async def _let_end(self) -> None:
        """Refuse from now on what ended: with every look at the store, so that a call need not compare times."""
        now_us = self.clock.now_us()
        done = 0
        while self._ends and self._ends[0][0] <= now_us:
            _, digest, key_id, changed, over = heapq.heappop(self._ends)
            if self._holds(key_id, changed):
                self._owners.pop(digest, None)
                self._refused[digest] = over
            done += 1
            if done % PAGE == 0:
                await asyncio.sleep(0)

    def _sort_out_ends(self) -> None:
        """Drop the ends of keys that changed since, whenever their number has doubled: so each costs the same."""
        self._ends = [end for end in self._ends if self._holds(end[2], end[3])]
        heapq.heapify(self._ends)
        self._sort_out_at = max(_LEAST_ENDS, 2 * len(self._ends))

    def _holds(self, key_id: str, changed: int) -> bool:
        known = self._known.get(key_id)
        return known is not None and known.changed == changed


def _principal(record: KeyRecord) -> Principal:
    rules = None
    if record.bound_model is not None or record.models or record.faces:
        rules = KeyRules(record.bound_model, record.models, record.faces)
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
        tags=",".join(record.tags) or None,
        rules=rules,
        fixed=record.fixed,
    )
