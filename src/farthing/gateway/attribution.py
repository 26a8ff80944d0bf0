"""For whom and for what a call is made, read from where each client already says it.

`x-farthing-*` headers win; without them a session is what Claude Code sends in its own header or inside
`metadata.user_id` (a JSON string there), or an OpenAI `prompt_cache_key`, and a user is `user` or a plain
`metadata.user_id`. Values are kept short and printable: they end in tables and file names.
"""

from collections.abc import Iterable

import msgspec

from farthing.types.calls import Attribution
from farthing.types.principal import Principal
from farthing.wire.peek import Envelope

MAX_CHARS = 200
"""The longest that real clients send is a Claude Code user id of 140 characters."""

_FIELDS = {
    b"x-farthing-project": "project",
    b"x-farthing-session": "session",
    b"x-farthing-user": "user",
    b"x-farthing-task": "task",
    b"x-farthing-tags": "tags",
    b"x-farthing-conversation": "conversation",
    b"x-farthing-parent-call": "parent_call_id",
    b"x-farthing-sub-agent": "sub_agent",
    b"x-farthing-branch": "branch",
    b"x-farthing-pull-request": "pull_request",
}
_CLAUDE_CODE_SESSION = b"x-claude-code-session-id"


def attribute(principal: Principal, headers: Iterable[tuple[bytes, bytes]], envelope: Envelope) -> Attribution:
    """Return the attribution of one call."""
    told: dict[str, str | None] = {}
    session: str | None = None
    for name, value in headers:
        if name.startswith(b"x-"):
            if (field := _FIELDS.get(name)) is not None:
                told[field] = _clean(value.decode("utf-8", "replace"))
            elif name == _CLAUDE_CODE_SESSION:
                session = _clean(value.decode("utf-8", "replace"))
    user = envelope.text("user") if "user" in envelope else None
    if "metadata" in envelope:
        in_session, in_user = _from_metadata(envelope.value("metadata"))
        session, user = session or in_session, user or in_user
    if session is None and "prompt_cache_key" in envelope:
        session = envelope.text("prompt_cache_key")
    return Attribution(
        key_id=principal.key_id,
        key_name=principal.key_name,
        organisation=principal.organisation,
        team=principal.team,
        project=told.pop("project", None) or principal.project,
        user=told.pop("user", None) or _clean(user) or principal.user,
        session=told.pop("session", None) or _clean(session),
        **told,
    )


def _from_metadata(metadata: object) -> tuple[str | None, str | None]:
    """Return session and user from `metadata.user_id`, in the shapes that Claude Code has used, or a plain user."""
    user_id = metadata.get("user_id") if isinstance(metadata, dict) else None
    if not isinstance(user_id, str):
        return None, None
    if user_id.startswith("{"):
        try:
            inside = msgspec.json.decode(user_id)
        except msgspec.MsgspecError:
            return None, user_id
        if isinstance(inside, dict):
            session, user = inside.get("session_id"), inside.get("account_uuid") or inside.get("device_id")
            return session if isinstance(session, str) else None, user if isinstance(user, str) else None
    user, found, session = user_id.rpartition("_session_")
    return (session, user) if found else (None, user_id)


def _clean(value: str | None) -> str | None:
    if not value:
        return None
    value = value[:MAX_CHARS].strip()
    return (value if value.isprintable() else "".join(c for c in value if c.isprintable())) or None
