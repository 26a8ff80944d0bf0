"""For whom and for what a call is made, read from where each client already says it.

`x-farthing-*` headers win; without them a session is what Claude Code sends in its own header or inside
`metadata.user_id` (a JSON string there), or an OpenAI `prompt_cache_key`, and a user is `user` or a plain
`metadata.user_id`. Values are kept short and printable: they end in tables and file names.
"""

from collections.abc import Mapping

import msgspec

from farthing.types.calls import Attribution
from farthing.types.principal import Principal
from farthing.wire.lenient import UNREADABLE
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


_SAID_IN_HEADERS = frozenset({*_FIELDS, _CLAUDE_CODE_SESSION})
_SAID_IN_BODY = frozenset({"user", "metadata", "prompt_cache_key"})
_MAX_PLAIN = 1024
"""Keys whose plain attribution is remembered; building one takes a microsecond."""

_plain: dict[Principal, Attribution] = {}


def attribute(principal: Principal, told: Mapping[bytes, bytes], envelope: Envelope) -> Attribution:
    """Return the attribution of one call; `told` are the client's headers (`RequestHeaders.named`)."""
    if _SAID_IN_HEADERS.isdisjoint(told) and not envelope.has_any(_SAID_IN_BODY):
        return _plain_attribution(principal)
    ours = {field: _clean(told[name].decode("utf-8", "replace")) for name, field in _FIELDS.items() if name in told}
    session = _clean(told.get(_CLAUDE_CODE_SESSION, b"").decode("utf-8", "replace"))
    user = envelope.text("user")
    in_session, in_user = _from_metadata(envelope.value("metadata"))
    session = session or _clean(in_session) or _clean(envelope.text("prompt_cache_key"))
    return Attribution(
        key_id=principal.key_id,
        key_name=principal.key_name,
        organisation=principal.organisation,
        team=principal.team,
        project=ours.pop("project", None) or principal.project,
        user=ours.pop("user", None) or _clean(user) or _clean(in_user) or principal.user,
        session=ours.pop("session", None) or session,
        **ours,
    )


def _plain_attribution(principal: Principal) -> Attribution:
    found = _plain.get(principal)
    if found is None:
        found = Attribution(
            key_id=principal.key_id,
            key_name=principal.key_name,
            organisation=principal.organisation,
            team=principal.team,
            project=principal.project,
            user=principal.user,
        )
        if len(_plain) >= _MAX_PLAIN:
            _plain.clear()
        _plain[principal] = found
    return found


def _from_metadata(metadata: object) -> tuple[str | None, str | None]:
    """Return session and user from `metadata.user_id`, in the shapes that Claude Code has used, or a plain user."""
    user_id = metadata.get("user_id") if isinstance(metadata, dict) else None
    if not isinstance(user_id, str):
        return None, None
    if user_id.startswith("{"):
        try:
            inside = msgspec.json.decode(user_id)
        except UNREADABLE:
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
