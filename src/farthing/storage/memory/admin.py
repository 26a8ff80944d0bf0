"""The memory store's tokens of the admin API, and its audit log."""

import msgspec

from farthing.types.admin import AdminToken, Change


class MemoryAdmin:
    """See `AdminStore`."""

    def __init__(self) -> None:
        self._tokens: dict[str, AdminToken] = {}
        self._changes: dict[str, Change] = {}

    async def add_token(self, token: AdminToken) -> bool:
        """See `AdminStore.add_token`."""
        if any(one.name == token.name and one.revoked_at_us is None for one in self._tokens.values()):
            return False
        self._tokens[token.id] = token
        return True

    async def tokens(self) -> list[AdminToken]:
        """See `AdminStore.tokens`."""
        return sorted(self._tokens.values(), key=lambda token: token.id)

    async def token(self, digest: bytes) -> AdminToken | None:
        """See `AdminStore.token`."""
        return next((token for token in self._tokens.values() if token.digest == digest), None)

    async def revoke_token(self, token_id: str, at_us: int) -> bool:
        """See `AdminStore.revoke_token`."""
        token = self._tokens.get(token_id)
        if token is None or token.revoked_at_us is not None:
            return False
        self._tokens[token_id] = msgspec.structs.replace(token, revoked_at_us=at_us)
        return True

    async def begin_change(self, change: Change) -> None:
        """See `AdminStore.begin_change`."""
        self._changes[change.id] = change

    async def end_change(self, change: Change) -> None:
        """See `AdminStore.end_change`."""
        self._changes[change.id] = msgspec.structs.replace(
            self._changes[change.id],
            subject=change.subject,
            outcome=change.outcome,
            status=change.status,
            before=change.before,
            after=change.after,
        )

    async def changes(
        self,
        limit: int,
        before_id: str | None = None,
        *,
        who: str | None = None,
        action: str | None = None,
        subject: str | None = None,
    ) -> list[Change]:
        """See `AdminStore.changes`."""
        fitting = [
            change
            for change in self._changes.values()
            if (before_id is None or change.id < before_id)
            and who in (None, change.who)
            and action in (None, change.action)
            and subject in (None, change.subject)
        ]
        return sorted(fitting, key=lambda change: change.id, reverse=True)[:limit]
