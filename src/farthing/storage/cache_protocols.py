"""What several processes keep for one another and may lose at any moment: no answer fails without it, and no money."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class SharedCache(Protocol):
    """Keeps bytes by name for a while; every method raises `StoreError` when it cannot be used now."""

    async def get(self, names: Sequence[bytes], *, keep_s: int) -> list[bytes | None]:
        """Return what is kept under each name; what is found is kept for `keep_s` from now."""
        ...

    async def put(self, items: Mapping[bytes, bytes], *, keep_s: int) -> None:
        """Keep these; a name under which something is kept keeps that, for `keep_s` from now."""
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...
