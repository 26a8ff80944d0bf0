"""Settings that were made through the admin API: they are kept in the store, beside the operator's file.

Where both name the same thing the file wins, and the store's is left alone until the file no longer names it.
"""

from typing import Any

import msgspec


class StoredSetting(msgspec.Struct, frozen=True, kw_only=True):
    """One of them. `value` is what settings.yaml would say there, as JSON has it; amounts are decimal text.

    `path` is `providers.NAME`, `models.NAME`, `routers.NAME`, `prices.PATTERN`, or a single value's, such as
    `server.drain_s`.
    """

    path: str
    value: Any
    changed_at_us: int
    changed_by: str


class Said(msgspec.Struct, frozen=True, eq=False):
    """The line on which settings.yaml names each thing, by its path; a price's is `prices.PATTERN`.

    Where things stand is no part of what they say: two are always equal, so that settings of a file that was only
    moved about in are the same settings.
    """

    lines: dict[str, int] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Said)

    def __hash__(self) -> int:
        return 0
