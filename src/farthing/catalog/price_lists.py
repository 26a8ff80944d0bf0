"""The price lists of a home: which are in use beside the one that comes with Farthing, and which were before.

A refreshed list is one file in `prices/`, named by its id and never written again; `state.json` tells the lists in use
and those before, newest last, so that undoing is forgetting the last entry. A list is read whole when it is opened and
checked against the digest that the state has of it: a running server must not find a file changed or gone later.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from farthing.catalog.snapshot import Index, Snapshot, bundled_snapshot
from farthing.config.home_files import give_folder_to_owner, way_out, write_whole
from farthing.errors import PriceListUnusable

if TYPE_CHECKING:
    from farthing.catalog.published import CompiledList  # the compiler is not needed to serve

ListKind = Literal["prices", "openrouter"]
"""A whole list, or OpenRouter's own, which is used for calls to OpenRouter and nothing else."""

MAX_LIST_BYTES = 16 << 20
"""Thirty times the list of 2026; what is larger is not the list."""
MAX_HISTORY = 10
"""Entries that `--undo` can go back to; a list has 0.5 MB."""
_MAX_STATE_BYTES = 64 << 10
_ID = re.compile(r"[a-z]+-20\d\d-\d\d-\d\d-[0-9a-f]{8}", re.ASCII)


class KeptList(msgspec.Struct, frozen=True, kw_only=True):
    """A list in `prices/`: its id, the day it was taken, where from, and the SHA-256 of its file."""

    id: str
    date: str
    source: str
    sha256: str


class Used(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The lists in use at one time; `None` is what comes with Farthing, or nothing."""

    prices: KeptList | None = None
    openrouter: KeptList | None = None


class _State(msgspec.Struct, frozen=True):
    version: int = 1
    history: tuple[Used, ...] = ()


class _File(msgspec.Struct, frozen=True):
    index: Index
    providers: dict[str, msgspec.Raw]


class PriceLists(msgspec.Struct, frozen=True):
    """The lists in use, opened. `openrouter` is asked first, for OpenRouter only."""

    used: Used
    prices: Snapshot
    openrouter: Snapshot | None = None

    @property
    def sources(self) -> tuple[Snapshot, ...]:
        """Both, or the one that there is."""
        return (self.prices,) if self.openrouter is None else (self.openrouter, self.prices)


def open_price_lists(folder: Path) -> PriceLists:
    """Return the lists that this home uses; those that come with Farthing where it has none.

    Raises:
        PriceListUnusable: a file is broken or gone.
    """
    history = _read_state(folder).history
    used = history[-1] if history else Used()
    return PriceLists(
        used,
        bundled_snapshot() if used.prices is None else _open(folder, used.prices),
        None if used.openrouter is None else _open(folder, used.openrouter),
    )


def stamp_of(folder: Path) -> tuple[int, int, int] | None:
    """Return what tells one state of the lists in use from the next; `None` where a home has none of its own."""
    try:
        found = (folder / "state.json").stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def opened(kept: KeptList, data: bytes) -> Snapshot:
    """Return the list in a file's bytes.

    Raises:
        PriceListUnusable: the bytes are not those that were kept.
    """
    if _digest(data) != kept.sha256:
        raise _broken(kept.id, "its file was changed")
    file = msgspec.json.decode(data, type=_File)
    return Snapshot(file.index, file.providers.__getitem__)


def packed(kind: ListKind, compiled: "CompiledList", *, source: str, day: str) -> tuple[KeptList, bytes]:
    """Return what is to be kept of a compiled list, and its file; the id tells the day and the content apart."""
    parts = ",\n".join(f'"{provider}":{text.rstrip()}' for provider, text in sorted(compiled.providers.items()))
    digest = _digest(parts.encode())[:8]
    index = Index(
        name=kind,
        version=f"{day}-{digest}",
        date=day,
        source=source,
        licence="",
        providers=tuple(sorted(compiled.providers)),
    )
    data = b'{"index":' + msgspec.json.encode(index) + b',\n"providers":{' + parts.encode() + b"}}\n"
    return KeptList(id=index.id, date=day, source=source, sha256=_digest(data)), data


def use(folder: Path, kind: ListKind, kept: KeptList, data: bytes) -> None:
    """Keep a list and use it from now on; the file is whole on disk before anything refers to it.

    Raises:
        PriceListUnusable: it cannot be written, and nothing was changed.
    """
    assert _ID.fullmatch(kept.id), f"{kept.id!r} becomes a file's name"
    history = _read_state(folder).history
    last = history[-1] if history else Used()
    now = msgspec.structs.replace(last, **{kind: kept})
    try:
        if not folder.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            give_folder_to_owner(folder)
        write_whole(folder / f"{kept.id}.json", data)
        _write_state(folder, (*(history or (Used(),)), now)[-MAX_HISTORY:])
    except OSError as error:
        raise _unwritable(folder, error) from error


def undo(folder: Path) -> tuple[Used, Used]:
    """Go back to the lists that were used before; returns those given up and those in use now.

    Raises:
        PriceListUnusable: there is nothing to go back to, or it cannot be written.
    """
    history = _read_state(folder).history
    if len(history) < 2:
        raise PriceListUnusable("There is no earlier price list to go back to.")
    try:
        _write_state(folder, history[:-1])
    except OSError as error:
        raise _unwritable(folder, error) from error
    return history[-1], history[-2]


def _open(folder: Path, kept: KeptList) -> Snapshot:
    return opened(kept, _read(folder / f"{kept.id}.json", MAX_LIST_BYTES, kept.id))


def _read_state(folder: Path) -> _State:
    path = folder / "state.json"
    if not path.exists():
        return _State()
    data = _read(path, _MAX_STATE_BYTES, path.name)
    try:
        state = msgspec.json.decode(data, type=_State)
    except msgspec.MsgspecError as error:
        raise _broken(path.name, str(error)) from None
    kept = [one for used in state.history for one in (used.prices, used.openrouter) if one is not None]
    if state.version != 1 or not all(_ID.fullmatch(one.id) for one in kept):
        raise _broken(path.name, "a newer Farthing, or somebody else, wrote it")
    return state


def _write_state(folder: Path, history: tuple[Used, ...]) -> None:
    write_whole(folder / "state.json", msgspec.json.format(msgspec.json.encode(_State(1, history)), indent=1) + b"\n")
    named = {f"{one.id}.json" for used in history for one in (used.prices, used.openrouter) if one is not None}
    for path in folder.glob("*-20??-??-??-*.json"):
        if path.name not in named:
            path.unlink(missing_ok=True)


def _read(path: Path, most_bytes: int, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except OSError as error:
        raise _broken(name, error.strerror or str(error)) from error
    if len(data) > most_bytes:
        raise _broken(name, f"it is over {most_bytes >> 10:,} KB")
    return data


def _digest(data: bytes) -> str:
    import hashlib  # noqa: PLC0415  (3 ms that only a home with a list of its own has to spend)

    return hashlib.sha256(data).hexdigest()


def _broken(name: str, what: str) -> PriceListUnusable:
    return PriceListUnusable(
        f"The price list {name!r} of this home cannot be used: {what}.",
        hint='"farthing prices refresh --undo" goes back to the one before; without prices/state.json, the list that'
        " comes with Farthing is used.",
    )


def _unwritable(folder: Path, error: OSError) -> PriceListUnusable:
    return PriceListUnusable(
        f"The price list cannot be written into {str(folder)!r}: {error.strerror or error}.",
        hint=f"nothing was changed; {way_out(error, folder.parent)}",
    )
