"""The memory store's keys: a dictionary by id."""

import msgspec

from farthing.storage.protocols import KeyRecord
from farthing.types.tenant import Tenant

_FIRST = range(1, 101)


class MemoryKeys:
    """See `KeyStore`."""

    def __init__(self) -> None:
        self._keys: dict[str, KeyRecord] = {}
        self._changes = 0

    async def keys(self) -> list[KeyRecord]:
        """See `KeyStore.keys`."""
        return sorted(self._living(), key=lambda record: (record.created_at_us, record.id))

    async def keys_page(
        self,
        limit: int,
        after_id: str = "",
        *,
        organisation: str | None = None,
        team: str | None = None,
        project: str | None = None,
    ) -> list[KeyRecord]:
        """See `KeyStore.keys_page`."""
        fitting = [
            one
            for one in self._living()
            if one.id > after_id
            and organisation in (None, one.organisation)
            and team in (None, one.team)
            and project in (None, one.project)
        ]
        return sorted(fitting, key=lambda record: record.id)[:limit]

    async def team_elsewhere(self, tenant: Tenant) -> bool:
        """See `KeyStore.team_elsewhere`."""
        return any(one.team == tenant.team and one.organisation != tenant.organisation for one in self._keys.values())

    async def key(self, id_or_name: str) -> KeyRecord | None:
        """See `KeyStore.key`."""
        found = self._keys.get(id_or_name)
        if found is not None and found.deleted_at_us is None:
            return found
        return next((record for record in self._living() if record.name == id_or_name), None)

    async def changed_keys(self, after: int, limit: int) -> list[KeyRecord]:
        """See `KeyStore.changed_keys`."""
        changed = [record for record in self._keys.values() if record.changed > after]
        return sorted(changed, key=lambda record: record.changed)[:limit]

    async def key_names(self, limit: int) -> list[str]:
        """See `KeyStore.key_names`."""
        return [record.name for record in reversed(self._living())][:limit]

    async def free_key_number(self, prefix: str) -> int:
        """See `KeyStore.free_key_number`."""
        ends = {record.name.removeprefix(prefix) for record in self._living() if record.name.startswith(prefix)}
        taken = {int(end) for end in ends if end.isascii() and end.isdigit() and len(end) < 10 and end == str(int(end))}
        return next((number for number in _FIRST if number not in taken), max(taken, default=0) + 1)

    async def add_key(self, record: KeyRecord) -> KeyRecord | None:
        """See `KeyStore.add_key`."""
        return None if record.id in self._keys or self._collides(record) else self._keep(record)

    async def change_key(self, record: KeyRecord) -> KeyRecord | None:
        """See `KeyStore.change_key`."""
        kept = self._keys.get(record.id)
        if kept is None or kept.changed != record.changed or kept.deleted_at_us is not None or self._collides(record):
            return None
        return self._keep(record)

    async def change_counter(self) -> int:
        """See `KeyStore.change_counter`."""
        return self._changes

    async def claim_pepper(self, _check: bytes) -> bool:
        """See `KeyStore.claim_pepper`."""
        return True

    def _living(self) -> list[KeyRecord]:
        return [record for record in self._keys.values() if record.deleted_at_us is None]

    def _collides(self, record: KeyRecord) -> bool:
        if record.deleted_at_us is not None:
            return False
        return any(
            other.id != record.id and (other.name == record.name or other.digest == record.digest)
            for other in self._living()
        )

    def _keep(self, record: KeyRecord) -> KeyRecord:
        self._changes += 1
        kept = self._keys[record.id] = msgspec.structs.replace(record, changed=self._changes)
        return kept
