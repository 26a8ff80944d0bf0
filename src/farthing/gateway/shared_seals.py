"""What providers seal, shared by the hosts and workers that serve one conversation; see `signatures.py`.

A conversation's next call may come to any of them. What one has kept it tells a cache that all share, and what another
lacks it asks there before it translates. Names and what is kept are sealed in turn, under a key that the pepper gives:
thoughts are parts of answers, and whoever reads the cache, or its backup, learns nothing of them.

No call fails by it, and none waits for long: while the cache is away a conversation goes on without the thoughts that
came to another process, and what could not be told is dropped and counted.
"""

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Iterable

import msgspec

from farthing.errors import StoreError
from farthing.storage.cache_protocols import SharedCache
from farthing.types.chat import Signature, Thinking

log = logging.getLogger(__name__)

KEEP_S = 24 * 3_600
"""As long as a process keeps them by itself."""
MAX_WAITING = 1_000
"""Seals that wait to be told: those of two hundred answers that end at once."""
MAX_VALUE_BYTES = 1 << 20
"""A longer thought stays with who got it; the longest that models write have 400 KB."""
MAX_ASKED = 4_096
"""Places of one request that are asked for; a session of 400 turns has about 1,500."""
_AGAIN_S = 1.0
"""How long nobody is asked after the cache was away: a call in a second waits for it, and no more."""
_NONCE_BYTES = 12


class Sealed(msgspec.Struct, frozen=True):
    """What was sealed at one place, as it is shared."""

    thoughts: tuple[Thinking, ...] = ()
    signature: Signature | None = None


_sealed = msgspec.msgpack.Decoder(Sealed)


class SharedSeals:
    """One process among those that share a cache."""

    def __init__(self, cache: SharedCache, pepper: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - 30 ms, where there is a cache

        self._cache = cache
        self._naming = hashlib.blake2b(pepper, digest_size=32, person=b"farthing.names").digest()
        self._cipher = AESGCM(hashlib.blake2b(pepper, digest_size=32, person=b"farthing.seals").digest())
        self._waiting: deque[tuple[bytes, bytes]] = deque()
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._again_at = 0.0
        self.dropped = 0

    def start(self) -> None:
        """Tell of what is offered from now on."""
        self._task = asyncio.create_task(self._tell(), name="shared-seals")

    async def close(self) -> None:
        """Tell of nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._cache.close()

    def offer(self, key_id: str, place: bytes, sealed: Sealed) -> None:
        """Have others find what was sealed at a place of a key's conversations."""
        name = self._named(key_id, place)
        plain = msgspec.msgpack.encode(sealed)
        if len(plain) > MAX_VALUE_BYTES or len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            return
        # A nonce that its name and content give: what is kept twice is the same, and nothing else has it.
        nonce = hashlib.blake2b(plain, digest_size=_NONCE_BYTES, key=self._naming, salt=name[:16]).digest()
        self._waiting.append((name, nonce + self._cipher.encrypt(nonce, plain, name)))
        self._more.set()

    async def found(self, key_id: str, places: Iterable[bytes]) -> dict[bytes, Sealed]:
        """Return what others have told of places; nothing while the cache is away."""
        if asyncio.get_running_loop().time() < self._again_at:
            return {}
        asked = list(dict.fromkeys(places))[:MAX_ASKED]
        names = [self._named(key_id, place) for place in asked]
        try:
            values = await self._cache.get(names, keep_s=KEEP_S)
        except StoreError as error:
            self._is_away(error)
            return {}
        opened = ((place, self._opened(name, value)) for place, name, value in zip(asked, names, values, strict=True))
        return {place: sealed for place, sealed in opened if sealed is not None}

    async def _tell(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            items = dict(self._waiting)
            self._waiting.clear()
            try:
                await self._cache.put(items, keep_s=KEEP_S)
            except StoreError as error:
                self.dropped += len(items)
                self._is_away(error)

    def _named(self, key_id: str, place: bytes) -> bytes:
        found = hashlib.blake2b(digest_size=24, key=self._naming)
        found.update(len(key_id).to_bytes(4, "big") + key_id.encode() + place)
        return found.digest()

    def _opened(self, name: bytes, value: bytes | None) -> Sealed | None:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - as above

        if value is None:
            return None
        try:
            return _sealed.decode(self._cipher.decrypt(value[:_NONCE_BYTES], value[_NONCE_BYTES:], name))
        except (InvalidTag, ValueError, msgspec.MsgspecError):  # of another version of us, or somebody else's
            return None

    def _is_away(self, error: StoreError) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._again_at:
            log.warning("seals of conversations are not shared now: %s", error.message)
        self._again_at = now + _AGAIN_S
