"""Fetch a price list and make it ready to be compared and used: from a file, an https address, or OpenRouter itself.

Nothing here runs by itself and nothing here changes anything. What arrives is bounded in bytes and in time, redirects
are not followed, and which kind of list it is follows from what is in it.
"""

import asyncio
import os
import stat
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from farthing.catalog.openrouter_prices import compile_openrouter
from farthing.catalog.price_lists import MAX_LIST_BYTES, KeptList, ListKind, opened, packed
from farthing.catalog.published import CompiledList, compile_list
from farthing.catalog.snapshot import PricedModel, Snapshot
from farthing.config.addresses import check_list_source
from farthing.errors import FarthingError, PriceListUnusable
from farthing.providers.pool import Dialer, Origin, Pool, Proxies, Timeouts
from farthing.providers.protocol import Provider

TIMEOUTS = Timeouts(connect_s=10, first_byte_s=20, idle_s=10, total_s=60)
"""The list has 0.6 MB: a minute is 80 kbit/s."""


class Candidate(msgspec.Struct, frozen=True):
    """A list that could be used: what is to be kept of it, its file, and what was noticed when it was read."""

    kind: ListKind
    kept: KeptList
    data: bytes
    snapshot: Snapshot
    compiled: CompiledList


def read_candidate(data: bytes, *, source: str, day: str, now_us: int) -> Candidate:
    """Return a list that was checked in every part.

    Raises:
        PriceListUnusable: it is broken, hostile, or says what is not known here.
    """
    kind: ListKind = "openrouter" if data.lstrip()[:1] == b"{" else "prices"
    compiled = compile_openrouter(data) if kind == "openrouter" else compile_list(data)
    if not compiled.models:
        raise PriceListUnusable("The list holds no price at all.", hint=_HINT)
    kept, packed_data = packed(kind, compiled, source=source, day=day)
    if len(packed_data) > MAX_LIST_BYTES:
        raise PriceListUnusable(f"The list is over {MAX_LIST_BYTES >> 20} MB.", hint="nothing was changed.")
    snapshot = opened(kept, packed_data)
    for provider in snapshot.index.providers:
        for model in snapshot.models(provider):
            # Every sheet is built once here, so that none can fail later while a call is being priced.
            PricedModel(snapshot.index.id, provider, model).sheet_at(now_us)
    return Candidate(kind, kept, packed_data, snapshot, compiled)


def read_source(source: str) -> bytes:
    """Return what is at a path or a URL, which may begin with `file:`.

    Raises:
        PriceListUnusable: there is nothing, too much of it, or no way to it.
    """
    if source.startswith(("https://", "http://")):
        return asyncio.run(_download(source))
    return _read_file(Path(source.removeprefix("file://").removeprefix("file:")).expanduser())


def read_openrouter(provider: Provider) -> bytes:
    """Return what OpenRouter answers when it is asked for its models, as configured.

    Raises:
        PriceListUnusable: it does not answer with a list.
        CredentialMissing: it has no credential.
    """
    head = provider.request_head("models", b"", b"accept: application/json\r\n", 0)
    return asyncio.run(_ask(provider.origin, head, f"the provider {provider.name!r}"))


async def _download(url: str) -> bytes:
    try:
        check_list_source(url)
    except ValueError as error:
        raise PriceListUnusable(str(error)) from None
    parts = urlsplit(url)
    lines = [
        f"GET {parts.path or '/'} HTTP/1.1",
        f"host: {parts.netloc}",
        "user-agent: farthing",
        "accept: application/json, text/plain",
        "accept-encoding: identity",
    ]
    return await _ask(Origin.at(url), ("\r\n".join(lines) + "\r\n\r\n").encode("ascii"), repr(url))


async def _ask(origin: Origin, head: bytes, named: str) -> bytes:
    pool = Pool(connect=Dialer(Proxies(os.environ)))
    try:
        answer = await pool.send(origin, head, [], TIMEOUTS)
        try:
            if answer.status != 200:
                why = "; redirects are not followed" if 300 <= answer.status < 400 else ""
                raise PriceListUnusable(f"{named} answers with status {answer.status}{why}.", hint=_HINT)
            if any(name == b"content-encoding" and value != b"identity" for name, value in answer.headers):
                raise PriceListUnusable(f"{named} answers compressed, which was not asked for.", hint=_HINT)
            return await answer.read(MAX_LIST_BYTES)
        finally:
            answer.cancel()
    except PriceListUnusable:
        raise
    except FarthingError as error:
        raise PriceListUnusable(f"{named} cannot be read: {error.message}", hint=_HINT) from error
    finally:
        await pool.close()


def _read_file(path: Path) -> bytes:
    try:
        # Not blocking, because the path may name a pipe that nobody writes to.
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise PriceListUnusable(f"{str(path)!r} is no file.", hint=_HINT)
            data = file.read(MAX_LIST_BYTES + 1)
    except OSError as error:
        raise PriceListUnusable(f"{str(path)!r} cannot be read: {error.strerror or error}.", hint=_HINT) from error
    if len(data) > MAX_LIST_BYTES:
        raise PriceListUnusable(f"{str(path)!r} is over {MAX_LIST_BYTES >> 20} MB; it is no price list.", hint=_HINT)
    return data


_HINT = "nothing was changed; --from FILE reads a list that was fetched by other means."
