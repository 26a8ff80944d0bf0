"""Prices as the operator writes them and as the ledger uses them."""

import msgspec

from farthing.types.money import UnitPrice


class PriceOverride(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `prices:` in settings.yaml; it wins over the snapshot.

    `pattern` is `provider:model`, where `*` matches any text (`lab:*`). A part that is not given costs what `input`
    or `output` costs; `origin` says where the row stands (`settings.yaml:14`), for messages and `farthing calls show`.
    """

    pattern: str
    input: UnitPrice
    output: UnitPrice
    cache_read: UnitPrice | None = None
    cache_write_5m: UnitPrice | None = None
    cache_write_1h: UnitPrice | None = None
    request: UnitPrice | None = None
    web_search: UnitPrice | None = None
    origin: str = "settings"
