"""Posting a small body to an address of the operator's, and what comes back."""

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Reply(msgspec.Struct, frozen=True):
    """What a server answered: its status, the beginning of its body, and how long it asks us to wait."""

    status: int
    body: bytes = b""
    wait_s: float | None = None


class Post(Protocol):
    """Posts a body to an address, once, without following redirects, and bounded in time."""

    async def __call__(
        self, address: str, headers: Sequence[tuple[str, str]], body: bytes, ca_file: str | None
    ) -> Reply:
        """Return the answer. Addresses may be secrets, so beyond the host they stand in no message.

        Raises:
            FarthingError: no answer came, or the address is none.
        """
        ...
