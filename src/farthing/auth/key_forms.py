"""What a key may be called, for whom it may be, and which models it may name: checked before anything is kept.

All of it ends in tables, file names and error messages, so it is short and printable.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TypedDict

import msgspec

from farthing.auth.keys import PREFIX, SHOWN_LENGTH, TOKEN_LENGTH
from farthing.errors import Conflict, InvalidRequest
from farthing.storage.protocols import KeyRecord
from farthing.types.principal import FACE_NAMES, FIXED_NAMES, FixedName

MAX_NAME_LENGTH = 64
MAX_TEXT_LENGTH = 200
"""Of a team's, project's or user's name, and of all tags together: as long as what clients may say in headers."""
MAX_MODELS = 100
"""Names in a list of allowed models: looked through in a call's time, 0.3 us each."""
MAX_MODEL_LENGTH = 256


class KeyFields(TypedDict, total=False):
    """What of a key may be said when it is made, and changed afterwards."""

    organisation: str
    team: str | None
    project: str | None
    user: str | None
    session: str | None
    task: str | None
    branch: str | None
    pull_request: str | None
    tags: tuple[str, ...]
    bound_model: str | None
    models: tuple[str, ...]
    faces: tuple[str, ...]
    fixed: tuple[FixedName, ...]


def with_own_names_fixed(fields: KeyFields) -> KeyFields:
    """Return what a new key is made of: where nothing is said of it, the project and the user that it names are fixed.

    Whoever gives out a key that is for one project means that it is for no other one.
    """
    if "fixed" in fields:
        return fields
    named: tuple[FixedName, ...] = ("project", "user")
    return {**fields, "fixed": tuple(name for name in named if fields.get(name))}


def checked(fields: KeyFields) -> KeyFields:
    """Return the fields in the form in which they are kept.

    Raises:
        InvalidRequest: one of them is no good.
    """
    found = fields.copy()
    if found.get("organisation", "-") == "":
        raise InvalidRequest("An organisation has a name.", hint='"default" is that of whoever has only one.')
    for what in ("organisation", "team", "project", "user"):  # the others are said by programs, of what they work on
        text = found.get(what)
        if isinstance(text, str):
            _check_text(what, text, MAX_TEXT_LENGTH)
    if "tags" in found:
        found["tags"] = _checked_tags(found["tags"])
    if found.get("bound_model") is not None:
        _check_text("model", found["bound_model"] or "", MAX_MODEL_LENGTH)
    if "models" in found:
        found["models"] = _checked_models(found["models"])
    if "faces" in found:
        found["faces"] = _checked_faces(found["faces"])
    if "fixed" in found:
        found["fixed"] = _checked_fixed(found["fixed"])
    return found


def checked_name(name: str) -> str:
    """Return the name; raises `InvalidRequest` where it would spoil a table, or is a key."""
    if not 1 <= len(name) <= MAX_NAME_LENGTH or not name.isprintable() or name != name.strip():
        raise InvalidRequest(
            f"{name[:MAX_NAME_LENGTH]!r} is no name for a key.",
            hint=f"a name is 1 to {MAX_NAME_LENGTH} printable characters without spaces around it.",
        )
    if name.startswith(PREFIX) and len(name) >= TOKEN_LENGTH:
        raise InvalidRequest("That looks like a key, not like a name: names are shown everywhere.")
    return name


def taken(name: str) -> Conflict:
    """Return what is said where another key has the name."""
    return Conflict(
        f"A key named {name!r} exists already.",
        hint='choose another name, or rename that one ("farthing keys rename").',
    )


def no_such_key(id_or_name: str, names: Iterable[str]) -> InvalidRequest:
    """Return what is said where there is no such key; `names` are looked through for what was meant."""
    near = get_close_matches(id_or_name[:MAX_NAME_LENGTH], list(names), n=3)
    # A key that was pasted in the place of its name stays out of messages and logs.
    safe = f"{id_or_name[:SHOWN_LENGTH]}..." if id_or_name.startswith(PREFIX) else id_or_name
    return InvalidRequest(
        f"Unknown key {safe!r}" + (f"; nearest: {', '.join(near)}." if near else "."),
        hint='run "farthing keys list".',
    )


def changed(record: KeyRecord, fields: KeyFields) -> KeyRecord:
    """Return the key with these fields, which are checked."""
    return msgspec.structs.replace(record, **fields)


def _check_text(what: str, text: str, most: int) -> None:
    if not 1 <= len(text) <= most or not text.isprintable() or text != text.strip():
        raise InvalidRequest(
            f"{text[:MAX_NAME_LENGTH]!r} is no name of a {what}.",
            hint=f"it is 1 to {most} printable characters without spaces around it.",
        )


def _checked_tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    for tag in tags:
        _check_text("tag", tag, MAX_TEXT_LENGTH)
        if "," in tag:
            raise InvalidRequest(f"The tag {tag!r} has a comma, which stands between tags.")
    if len(",".join(tags)) > MAX_TEXT_LENGTH:
        raise InvalidRequest(
            f"The tags have {len(','.join(tags))} characters together.", hint=f"{MAX_TEXT_LENGTH} are the most."
        )
    return tuple(dict.fromkeys(tags))


def _checked_models(models: tuple[str, ...]) -> tuple[str, ...]:
    for model in models:
        _check_text("model", model, MAX_MODEL_LENGTH)
    if len(models) > MAX_MODELS:
        raise InvalidRequest(f"{len(models)} models are named.", hint=f'{MAX_MODELS} are the most; "openai:*" is many.')
    return tuple(dict.fromkeys(models))


def _checked_faces(faces: tuple[str, ...]) -> tuple[str, ...]:
    for face in faces:
        if face not in FACE_NAMES:
            raise InvalidRequest(f"Unknown format {face[:MAX_NAME_LENGTH]!r}; known: {', '.join(FACE_NAMES)}.")
    return tuple(dict.fromkeys(faces))


def _checked_fixed(fixed: tuple[FixedName, ...]) -> tuple[FixedName, ...]:
    for name in fixed:
        if name not in FIXED_NAMES:
            raise InvalidRequest(
                f"{name[:MAX_NAME_LENGTH]!r} cannot be fixed.",
                hint=f"what clients may name in headers can: {', '.join(FIXED_NAMES)}.",
            )
    return tuple(dict.fromkeys(fixed))
