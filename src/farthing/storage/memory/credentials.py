"""The vault's part of the memory store: a list of sealed credentials."""

from collections.abc import Sequence

from farthing.storage.protocols import CredentialRecord


class MemoryCredentials:
    """See `CredentialStore`."""

    def __init__(self) -> None:
        self._records: list[CredentialRecord] = []
        self._changes = 0

    async def records(self) -> list[CredentialRecord]:
        """See `CredentialStore.records`."""
        return list(self._records)

    async def swap(self, before: Sequence[CredentialRecord], after: Sequence[CredentialRecord]) -> bool:
        """See `CredentialStore.swap`."""
        if list(before) != self._records:
            return False
        if list(after) != self._records:
            self._records = sorted(after, key=lambda record: (record.created_at_us, record.id))
            self._changes += 1
        return True

    async def counter(self) -> int:
        """See `CredentialStore.counter`."""
        return self._changes
