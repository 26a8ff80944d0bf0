"""Change an agent's own settings so that they can be put back byte for byte.

What a file said before is kept whole, with the digests of both texts. Where the file is as we left it, putting back is
writing the old bytes; where its owner has changed it since, only what we put in is taken out. Nothing is written unless
the result says what it should and everything else as before, read by a real parser.
"""

import hashlib
import json
import os
import re
import stat
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from farthing.cli.agents.protocol import Edit, JsonEdit, LineEdit
from farthing.cli.json_text import NotReadable, member, read_json, with_member, without_member
from farthing.errors import ConfigError

_BEGIN = '# >>> farthing: "farthing unwire" takes this out'
_END = "# <<< farthing"
_KEPT = "#farthing# "
_MOST_BYTES = 8 << 20
"""Settings have kilobytes; Codex's and Claude Code's grow with trusted folders, to 1 MB at the most that we know."""


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was changed: all that is needed to put it back. `before` is `None` where there was none."""

    path: str
    before: bytes | None
    after_sha256: str
    made_folders: tuple[str, ...] = ()
    members: tuple[tuple[tuple[str, ...], str, str | None], ...] = ()
    """Path, our value and the value before as they stand in the text; empty for a file of lines."""


def plan(edit: Edit) -> tuple[Changed, bytes]:
    """Return what there is to remember of an edit, and what the file will say.

    Raises:
        ConfigError: the file cannot be changed so; the message says what to do by hand.
    """
    before = _read(edit.path)
    text = _decoded(edit.path, before or b"")
    after, members = _with_members(edit, text) if isinstance(edit, JsonEdit) else (_with_lines(edit, text), ())
    if isinstance(edit, LineEdit):
        _check_lines(edit, text, after)
    data = after.encode()
    return (
        Changed(
            path=str(edit.path),
            before=before,
            after_sha256=_digest(data),
            made_folders=tuple(str(folder) for folder in _missing_folders(edit.path)),
            members=members,
        ),
        data,
    )


def write(path: Path, data: bytes) -> None:
    """Write a file whole, where a link leads to; mode and owner stay, and a new file is for its owner only.

    Raises:
        OSError: it cannot be written; the file is as it was.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if target.exists():
                found = target.stat()
                draft.chmod(stat.S_IMODE(found.st_mode))
                if os.name == "posix" and (found.st_uid, found.st_gid) != (os.geteuid(), os.getegid()):
                    os.chown(file.fileno(), found.st_uid, found.st_gid)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def put_back(changed: Changed) -> str:
    """Put a file back; return what was done: `restored`, `removed`, `taken out`, or `nothing` where it is as before.

    Raises:
        ConfigError: its owner changed it so that our part cannot be found; the message says what to take out.
        OSError: it cannot be written.
    """
    path = Path(changed.path)
    now = _read(path)
    if now == changed.before:
        return "nothing"
    if now is not None and _digest(now) == changed.after_sha256:
        if changed.before is not None:
            write(path, changed.before)
            return "restored"
        _remove(path, changed)
        return "removed"
    if now is None:
        return "nothing"  # its owner removed it: then ours is gone too
    text = _decoded(path, now)
    rest = _without_members(changed, text) if changed.members else _without_lines(path, text)
    if changed.before is None and not _says_anything(changed, rest):
        _remove(path, changed)
        return "removed"
    write(path, rest.encode())
    return "taken out"


def _with_members(edit: JsonEdit, text: str) -> tuple[str, tuple[tuple[tuple[str, ...], str, str | None], ...]]:
    members = []
    try:
        for path, value in edit.members.items():
            before = member(text, path) if text.strip() else None
            told = json.dumps(value, indent=2, ensure_ascii=False)
            text = with_member(text, path, told)
            ours = member(text, path)
            assert ours is not None, "it was put in just now"
            members.append((path, ours, before))
    except NotReadable as error:
        raise ConfigError(
            f"{str(edit.path)!r} cannot be changed: {error}.",
            hint=f"mend it, or add by hand: {json.dumps(_nested(edit.members), ensure_ascii=False)}",
        ) from error
    found = read_json(text)
    assert all(_at(found, path) == value for path, value in edit.members.items()), "a reader finds what was put in"
    return text, tuple(members)


def _without_members(changed: Changed, text: str) -> str:
    """Take out our members, but leave one that its owner has set otherwise since; objects made for them go too."""
    before = read_json(_decoded(Path(changed.path), changed.before or b""))
    try:
        for path, ours, theirs in reversed(changed.members):
            if read_json(member(text, path) or "") != read_json(ours):
                continue
            if theirs is not None:
                text = with_member(text, path, theirs)
                continue
            text = without_member(text, path)
            for depth in range(len(path) - 1, 0, -1):
                if _at(before, path[:depth]) is None and read_json(member(text, path[:depth]) or "") == {}:
                    text = without_member(text, path[:depth])
    except NotReadable as error:
        raise ConfigError(
            f"{changed.path!r} was changed since, and cannot be read now: {error}.",
            hint=f"mend it, or take out by hand: {', '.join('.'.join(path) for path, _, _ in changed.members)}",
        ) from error
    return text


def _with_lines(edit: LineEdit, text: str) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    overruled = re.compile(edit.overrules)
    lines = text.splitlines(keepends=True)
    if edit.format == "toml":
        first_table = next((place for place, line in enumerate(lines) if line.lstrip().startswith("[")), len(lines))
    else:
        first_table = len(lines)
    changed = [
        f"{_KEPT}{line}" if place < first_table and overruled.match(line) else line for place, line in enumerate(lines)
    ]
    if changed and edit.end and not changed[-1].endswith(("\n", "\r")):
        changed[-1] += newline
    return "".join([*_block(edit.top, newline), *changed, *_block(edit.end, newline)])


def _block(lines: tuple[str, ...], newline: str) -> list[str]:
    return [f"{line}{newline}" for line in (_BEGIN, *lines, _END)] if lines else []


def _without_lines(path: Path, text: str) -> str:
    kept: list[str] = []
    inside = False
    for line in text.splitlines(keepends=True):
        bare = line.strip()
        if bare == (_END if inside else _BEGIN):
            inside = not inside
        elif not inside:
            kept.append(line.removeprefix(_KEPT))
    if inside or _BEGIN not in text:
        raise ConfigError(
            f"{str(path)!r} was changed since, and our part in it has no {'end' if inside else 'beginning'} any more.",
            hint=f"take out by hand what names farthing, and the {_KEPT.strip()!r} before lines that are yours.",
        )
    return "".join(kept)


def _check_lines(edit: LineEdit, before: str, after: str) -> None:
    """Raise unless a real reader finds our values, and the owner's others as they were."""
    read = _READERS.get(edit.format)
    if read is None:
        return
    by_hand = "\n".join((*edit.top, *edit.end))
    try:
        old, new = read(before), read(after)
        ours = read("\n".join((*edit.top, *edit.end)))
    except (ValueError, RecursionError) as error:
        message = f"{str(edit.path)!r} cannot be changed: {error}."
        raise ConfigError(message, hint=f"mend it, or add by hand:\n{by_hand}") from error
    wanted = _merged(old, ours)
    if new != wanted:
        raise ConfigError(
            f"{str(edit.path)!r} says something of the same name in a way that cannot be changed line by line.",
            hint=f"change it by hand:\n{by_hand}",
        )


def _merged(old: Any, ours: Any) -> Any:
    if not (isinstance(old, dict) and isinstance(ours, dict)):
        return ours
    return {**old, **{name: _merged(old.get(name), value) for name, value in ours.items()}}


def _read_yaml(text: str) -> Any:
    import yaml  # noqa: PLC0415  (only aider's settings are YAML)

    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    return {} if found is None else found


_READERS: Mapping[str, Callable[[str], Any]] = {"toml": tomllib.loads, "yaml": _read_yaml}


def _nested(members: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, value in members.items():
        below = found
        for name in path[:-1]:
            below = below.setdefault(name, {})
        below[path[-1]] = value
    return found


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _says_anything(changed: Changed, text: str) -> bool:
    return bool(read_json(text)) if changed.members else bool(text.strip())


def _remove(path: Path, changed: Changed) -> None:
    Path(os.path.realpath(path)).unlink()
    for folder in changed.made_folders:  # deepest first; one that holds something by now stays
        try:
            Path(folder).rmdir()
        except OSError:
            return


def _missing_folders(path: Path) -> list[Path]:
    target = Path(os.path.realpath(path))
    return [folder for folder in target.parents if not folder.exists()]


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    except IsADirectoryError as error:
        raise ConfigError(f"{str(path)!r} is a folder.", hint="it should be a file of settings.") from error
    if len(data) > _MOST_BYTES:
        raise ConfigError(f"{str(path)!r} has more than {_MOST_BYTES >> 20} MB.", hint="that is no file of settings.")
    return data


def _decoded(path: Path, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{str(path)!r} is not UTF-8: {error}.", hint="mend it first.") from error


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
