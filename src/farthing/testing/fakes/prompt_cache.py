"""A provider's prompt cache: which part of a prompt it has read before, and what it now remembers.

Two kinds exist. Anthropic's is asked for with marks and billed when written; a mark's lifetime is five minutes or an
hour and starts anew whenever the entry is read; a mark is also matched against entries that end up to 20 blocks earlier
(https://platform.claude.com/docs/en/build-with-claude/prompt-caching, read 2026-11). The others cache by themselves,
in whole steps of tokens.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence

import msgspec

from farthing.clock import Clock

MAX_ENTRIES = 20_000
"""Prefixes remembered, 100 bytes each; the oldest go first. A demo makes hundreds."""
LOOK_BACK_BLOCKS = 20
SHORT_S, LONG_S = 300, 3_600


class Block(msgspec.Struct, frozen=True):
    """A piece of a prompt: its text as the model reads it, its tokens, and the lifetime of the mark that ends it."""

    text: bytes
    tokens: int
    lifetime_s: int | None = None


class Cached(msgspec.Struct, frozen=True):
    """How many tokens of a prompt were read from the cache and written to it."""

    read: int = 0
    written_5m: int = 0
    written_1h: int = 0


class PromptCache:
    """Remembers the prefixes of prompts until their lifetime is over."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def marked(self, model: str, blocks: Sequence[Block], *, minimum_tokens: int = 1_024) -> Cached:
        """Read and write a prompt whose marks say what to keep; prefixes below the minimum are never kept."""
        prefixes = list(_prefixes(model, blocks))
        marks = [place for place, block in enumerate(blocks) if block.lifetime_s is not None]
        hit = -1
        for mark in marks:
            for place in range(mark, max(mark - LOOK_BACK_BLOCKS, -1), -1):
                if place > hit and self._alive(prefixes[place][0]):
                    hit = place
                    break
        read = prefixes[hit][1] if hit >= 0 else 0
        done, written = read, {SHORT_S: 0, LONG_S: 0}
        for mark in marks:
            digest, tokens = prefixes[mark]
            lifetime_s = blocks[mark].lifetime_s
            assert lifetime_s is not None
            if tokens < minimum_tokens:
                continue
            if tokens > done:
                written[lifetime_s] += tokens - done
                done = tokens
            self._keep(digest, lifetime_s)
        if hit >= 0:
            self._keep(prefixes[hit][0], blocks[hit].lifetime_s or SHORT_S)
        return Cached(read, written[SHORT_S], written[LONG_S])

    def automatic(self, model: str, blocks: Sequence[Block], *, minimum_tokens: int, step_tokens: int) -> int:
        """Return how many tokens of a prompt were read from a cache that nobody asked for, and keep the prompt."""
        read = 0
        for digest, tokens in _prefixes(model, blocks):
            if self._alive(digest):
                read = tokens
            self._keep(digest, SHORT_S)
        read -= read % step_tokens
        return read if read >= minimum_tokens else 0

    def _alive(self, digest: bytes) -> bool:
        return self._until.get(digest, -1.0) > self._clock.monotonic()

    def _keep(self, digest: bytes, lifetime_s: int) -> None:
        until = max(self._until.pop(digest, 0.0), self._clock.monotonic() + lifetime_s)
        self._until[digest] = until
        if len(self._until) > MAX_ENTRIES:
            self._until.popitem(last=False)


def _prefixes(model: str, blocks: Sequence[Block]) -> Iterator[tuple[bytes, int]]:
    chain = hashlib.sha256(model.encode())
    tokens = 0
    for block in blocks:
        chain.update(len(block.text).to_bytes(8, "big") + block.text)
        tokens += block.tokens
        yield chain.digest()[:16], tokens
