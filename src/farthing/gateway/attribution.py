"""For whom and for what a call is made, read from where each client already says it.

`x-farthing-*` headers win, then what the key was made for; tags of both count. What the key fixes nobody overrides: a
header that says another is refused, and what a client says in its own ways is passed over. Without either a session is
what an agent sends in a header of its own, or Claude Code inside `metadata.user_id` (a JSON string there), or an OpenAI
`prompt_cache_key`, and a user is `user` or a plain `metadata.user_id`. Where the key names the session ("farthing run"
makes such keys), what the agent calls its session is the conversation: an agent may have several, and each of Codex's
threads is one.

Sub-agents are told by Claude Code's `x-claude-code-agent-id` (2.1.197; only they have one), by Codex's
`x-openai-subagent` (0.169; `review`, `compact`, `collab_spawn` and others, while `thread-id` and `prompt_cache_key` are
each one's own and `session-id` is everybody's), and by opencode's `x-session-id` where it has a parent (1.18). Gemini
CLI (0.61) and aider (0.86) say nothing.

Values are kept short and printable: they end in tables and file names.
"""

from collections.abc import Mapping

import msgspec

from farthing.errors import NameNotAllowed
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
_OPENCODE_PARENT = b"x-parent-session-id"
_AGENTS_SESSION = (b"x-claude-code-session-id", b"session-id", _OPENCODE_PARENT, b"x-session-id")
_AGENTS_SUB_AGENT = (b"x-claude-code-agent-id", b"x-openai-subagent")
_IN_HEADERS = (*_FIELDS, *_AGENTS_SESSION, *_AGENTS_SUB_AGENT)
_IN_BODY = ("user", "metadata", "prompt_cache_key")
_SAID_IN_HEADERS, _SAID_IN_BODY = frozenset(_IN_HEADERS), frozenset(_IN_BODY)
_MAX_PLAIN = 1024
"""Keys whose plain attribution is remembered, and things that clients say; building one takes a microsecond or five."""

_LONGEST_HEARD = 2_048
"""Bytes of what is said beside a key that are remembered with what they mean: Claude Code says 400."""

_plain: dict[Principal, Attribution] = {}
_heard: dict[tuple[Principal, tuple[bytes | None, ...]], Attribution] = {}
"""What agents say is the same in every call of a session, and reading it takes 5 us."""


def attribute(principal: Principal, told: Mapping[bytes, bytes], envelope: Envelope) -> Attribution:
    """Return the attribution of one call; `told` are the client's headers (`RequestHeaders.named`).

    Raises:
        NameNotAllowed: a header names another project, user or so than the one that the key fixes.
    """
    in_body = envelope.has_any(_SAID_IN_BODY)
    if not _SAID_IN_HEADERS.isdisjoint(told):
        said = (*map(told.get, _IN_HEADERS), *map(envelope.raw, _IN_BODY))
    elif in_body:
        said = tuple(map(envelope.raw, _IN_BODY))
    else:
        return _plain.get(principal) or _plain_attribution(principal)
    found = _heard.get((principal, said))
    if found is None:
        found = _read(principal, told, envelope)
        if sum(len(one) for one in said if one) <= _LONGEST_HEARD:
            if len(_heard) >= _MAX_PLAIN:
                _heard.clear()
            _heard[principal, said] = found
    return found


def _read(principal: Principal, told: Mapping[bytes, bytes], envelope: Envelope) -> Attribution:
    """Read what a client says of a call."""
    ours = {field: _clean(told[name].decode("utf-8", "replace")) for name, field in _FIELDS.items() if name in told}
    fixed = principal.fixed
    if fixed:
        _keep_to(principal, ours)
    user = envelope.text("user")
    in_session, in_user = _from_metadata(envelope.value("metadata"))
    if "user" in fixed:
        user = in_user = None
    thread = _clean(in_session) or _clean(envelope.text("prompt_cache_key"))
    agents = _first(told, _AGENTS_SESSION) or thread
    sub_agent = _first(told, (b"x-session-id",) if _OPENCODE_PARENT in told else _AGENTS_SUB_AGENT)
    return Attribution(
        key_id=principal.key_id,
        key_name=principal.key_name,
        organisation=principal.organisation,
        team=principal.team,
        project=ours.pop("project", None) or principal.project,
        user=ours.pop("user", None) or _clean(user) or _clean(in_user) or principal.user,
        session=ours.pop("session", None) or principal.session or (None if "session" in fixed else agents),
        conversation=ours.pop("conversation", None) or (thread or agents if principal.session else None),
        task=ours.pop("task", None) or principal.task,
        sub_agent=ours.pop("sub_agent", None) or sub_agent,
        branch=ours.pop("branch", None) or principal.branch,
        pull_request=ours.pop("pull_request", None) or principal.pull_request,
        tags=_joined(principal.tags, ours.pop("tags", None)),
        **ours,
    )


def _keep_to(principal: Principal, ours: dict[str, str | None]) -> None:
    """Raise where a client's headers name what the key fixes otherwise."""
    for name in principal.fixed:
        own, said = getattr(principal, name), ours.get(name)
        if said is None or said == own or (name == "tags" and _joined(own, said) == own):
            continue
        alone = f"for {_said(name, own)} alone" if own else f"for no {name.removesuffix('s')}"
        sends = f", or send {own!r}" if own else ""
        others = ",".join(one for one in principal.fixed if one != name) or "none"
        raise NameNotAllowed(
            f"The key {principal.key_name!r} is {alone}, and the header x-farthing-{name} names {said!r}.",
            hint=f"leave the header out{sends}; the operator lets clients name others with"
            f' "farthing keys edit {principal.key_name} --fixed {others}".',
        )


def _said(name: str, own: str) -> str:
    return f"the {name} {own!r}"


def _first(told: Mapping[bytes, bytes], names: tuple[bytes, ...]) -> str | None:
    for name in names:
        value = told.get(name)
        if value is not None:
            return _clean(value.decode("utf-8", "replace"))
    return None


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
            session=principal.session,
            task=principal.task,
            branch=principal.branch,
            pull_request=principal.pull_request,
            tags=principal.tags,
        )
        if len(_plain) >= _MAX_PLAIN:
            _plain.clear()
        _plain[principal] = found
    return found


def _joined(own: str | None, said: str | None) -> str | None:
    """Return the key's tags and the client's, each once and without space around: budgets find them in SQL."""
    if said is None:
        return own
    tags = [*(own or "").split(","), *said.split(",")]
    return ",".join(dict.fromkeys(filter(None, map(str.strip, tags)))) or None


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
