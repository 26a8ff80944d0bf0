"""Post a small body to any address: for alerts, which go where the operator says.

Only the beginning of the answer is read, to see why something was not taken. See `types/posts.py`.
"""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from farthing.errors import ConfigError, ProviderError
from farthing.providers.pool.origin import Origin, Timeouts
from farthing.providers.pool.pool import Pool
from farthing.types.posts import Reply

TIMEOUTS = Timeouts(connect_s=10, first_byte_s=20, idle_s=10, total_s=40)
"""A receiver of webhooks answers in a second; Slack gives up on others after three."""
MAX_ANSWER_BYTES = 65_536
"""Longer answers are pages for people."""
_TARGET = re.compile(r"[!-~]*", re.ASCII)


class Poster:
    """See `Post`; connections are kept in the pool it is given."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __call__(
        self, address: str, headers: Sequence[tuple[str, str]], body: bytes, ca_file: str | None
    ) -> Reply:
        """See `Post.__call__`."""
        origin, head = _head(address, headers, len(body), ca_file)
        answer = await self._pool.send(origin, head, [body], TIMEOUTS)
        try:
            try:
                read = await answer.read(MAX_ANSWER_BYTES)
            except ProviderError:
                read = b""  # its status says whether it was taken
        finally:
            answer.cancel()
        return Reply(answer.status, read, _wait_s(answer.headers))


def _head(address: str, headers: Sequence[tuple[str, str]], length: int, ca_file: str | None) -> tuple[Origin, bytes]:
    try:
        parts = urlsplit(address)
        origin = Origin.at(address, ca_file)
    except ValueError:
        raise ConfigError("The address is no URL (not shown).", hint=_HINT) from None
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if parts.scheme not in ("http", "https") or not parts.hostname or not _TARGET.fullmatch(address):
        raise ConfigError("The address is no http or https URL (not shown).", hint=_HINT)
    if "@" in parts.netloc:
        raise ConfigError("The address holds a user name (not shown), and none is sent.", hint=_HINT)
    lines = [f"POST {target} HTTP/1.1", f"host: {parts.netloc}", f"content-length: {length}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return origin, ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _wait_s(headers: Sequence[tuple[bytes, bytes]]) -> float | None:
    """Return what `retry-after` says in seconds; a date is left to our own waiting."""
    value = next((value for name, value in headers if name == b"retry-after"), b"")
    return float(value) if value.isdigit() and len(value) <= 6 else None


_HINT = "write it as https://host/path."
