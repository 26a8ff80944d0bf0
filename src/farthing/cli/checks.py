"""What `farthing doctor` looks at, one function a thing: what was found and, where that is not well, what to do.

Nothing is changed, made or migrated here, and no provider is called (that is `farthing providers test`): a doctor that
treats before asking has hidden what was wrong.
"""

import os
import shutil
import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from farthing.auth.vault import Held
from farthing.catalog.prices import price_book
from farthing.cli.cautions import unknown_models, unused_addresses
from farthing.cli.providers import credential_in_use, missing_credential
from farthing.config.credentials import credential_warning
from farthing.config.local_ollama import Knock, local_address
from farthing.config.lock import holder
from farthing.config.paths import Home
from farthing.config.reach import url_of
from farthing.config.running import Running
from farthing.config.schema import ProviderSettings, ServerSettings, Settings
from farthing.errors import ConfigError, PriceListUnusable
from farthing.gateway.accounts import Opened
from farthing.providers.pool import Origin, Proxies
from farthing.types.providers import KnownProvider

Level = Literal["ok", "warning", "problem"]

LITTLE_ROOM_BYTES = 1 << 30
"""A gigabyte holds about a million calls; below it somebody should look."""
NO_ROOM_BYTES = 64 << 20
"""The largest answer that is held; SQLite's own side file needs as much while it commits."""
FILES_FOR_OURSELVES = 64
"""Descriptors beside the connections: database, journal, loop, logs."""
_FIRST_YEAR, _LAST_YEAR = 2026, 2100
"""A clock outside is not set; prices depend on the date and ids on the time."""


class Found(msgspec.Struct, frozen=True):
    """One thing that was looked at; `hint` says what to do where it is not `ok`."""

    level: Level
    what: str
    message: str
    hint: str | None = None


def check_providers(
    settings: Settings, running: Running | None, held: Sequence[Held] = (), *, looked: bool = True
) -> Iterator[Found]:
    """Yield each provider with its credential, or what it lacks: here, and in the gateway that runs.

    `held` is what the vault has. `looked` says whether that gateway has looked at the settings since they were changed.
    """
    for provider in settings.providers.values():
        yield _look_at_provider(provider, running, held, looked=looked)
    theirs = running.providers if running is not None else ()
    for other in theirs:
        if other.name not in settings.providers and other.name not in settings.local:
            told = f"the running gateway has it: {other.base_url} with {_source(other.credential)}"
            yield Found("ok", f"provider {other.name}", f"{told}, which this terminal does not show")
    usable = any(missing_credential(provider, held) is None for provider in settings.providers.values())
    if not usable and not any(other.ready for other in theirs):
        hint = 'set a key such as OPENAI_API_KEY where the gateway is started, or "farthing providers add NAME"'
        only = ", but for an Ollama that is found at the start" if settings.local else ""
        yield Found("warning" if settings.local else "problem", "providers", f"none can be called{only}", hint)


def _look_at_provider(
    provider: ProviderSettings, running: Running | None, held: Sequence[Held], *, looked: bool
) -> Found:
    use = credential_in_use(provider, held)
    if use.source.kind == "vault":
        return _look_at_vault(provider, use)
    what, told = f"provider {provider.name}", f"{provider.base_url} with {_source(str(provider.credential))}"
    there = running.provider(provider.name) if running is not None else None
    ready = there is not None and there.ready and there.credential == str(provider.credential)
    missing = missing_credential(provider)
    wrong = credential_warning(provider.credential, os.environ)
    if missing is not None and ready:
        return Found("ok", what, f"{told}; the running gateway has that, this terminal does not")
    of_file = provider.credential.kind == "file"
    if missing is not None:
        way = "set it where the gateway is started"
        if of_file:
            way = "put the key there, readable for the gateway's account"
        return Found("warning", what, missing, f'{way}, or "farthing providers remove {provider.name}"')
    if wrong is not None:
        return Found("warning", what, f"{provider.base_url}: {wrong}")
    if running is not None and not ready and not looked:
        return Found("ok", what, f"{told}; the running gateway (pid {running.pid}) takes it up within two seconds")
    if running is not None and not ready and of_file and there is not None:
        told += f"; the running gateway (pid {running.pid}) could not read that"
        return Found("warning", what, told, f"let its account read the file, then kill -HUP {running.pid}")
    if running is not None and not ready:
        told += f"; the running gateway (pid {running.pid}) does not have that"
        return Found("warning", what, told, "if it is meant to, start it again where the credential is set")
    return Found("ok", what, told)


def _look_at_vault(provider: ProviderSettings, use: Opened) -> Found:
    what, missing = f"provider {provider.name}", use.credential.missing
    if missing is None:
        return Found("ok", what, f"{provider.base_url} with its credential from {use.source}")
    return Found("warning", what, missing, '"farthing credentials list" shows what there is')


def _source(credential: str) -> str:
    return "no credential" if credential == "none" else f"its credential from {credential}"


def check_environment(
    settings: Settings, known: Mapping[str, KnownProvider], environment: Mapping[str, str]
) -> Iterator[Found]:
    """Yield keys that are set and that nobody uses."""
    used = {provider.credential.name for provider in settings.providers.values() if provider.credential.kind == "env"}
    for kind, row in sorted(known.items()):
        variable = row.variable(environment)
        if variable and variable not in used and environment.get(variable, "").strip():
            more = "" if row.base_url is not None else " --base-url URL"
            told = f"{variable} is set, and no provider uses it"
            if kind in settings.providers:  # it has its credential from elsewhere
                way_out = f'"farthing config set providers.{kind}.credential env:{variable}", or take it out'
            else:
                way_out = f'"farthing providers add {kind}{more}", or leave it'
            yield Found("warning", "environment", told, way_out)


def check_proxies(settings: Settings, environment: Mapping[str, str]) -> Iterator[Found]:
    """Yield which providers are reached through a proxy of the environment, and whether it can be used."""
    try:
        proxies = Proxies(environment)
    except ConfigError as error:
        yield Found("problem", "proxy", error.message, error.hint)
        return
    through: dict[str, list[str]] = {}
    for provider in settings.providers.values():
        if (proxy := proxies.of(Origin.at(provider.base_url))) is not None:
            through.setdefault(str(proxy), []).append(provider.name)
    for proxy_name, names in through.items():
        yield Found("ok", "proxy", f"{', '.join(names)} through {proxy_name}")


def check_ollama(settings: Settings, environment: Mapping[str, str]) -> Iterator[Found]:
    """Yield whether an Ollama answers on this machine, and whether it is used."""
    address = local_address(environment)
    if address is None:
        yield Found("ok", "ollama", "OLLAMA_HOST says that it is on another machine; that is not looked at")
        return
    if not Knock(address).answered():
        yield Found("ok", "ollama", f"none answers at {address}")
        return
    used = [name for name, provider in settings.providers.items() if provider.kind == "ollama"]
    if used or settings.local:
        yield Found("ok", "ollama", f"answers at {address}, and is used as {(used or list(settings.local))[0]}")
    else:
        hint = '"farthing providers add ollama" lets clients ask for its models'
        yield Found("warning", "ollama", f"answers at {address}, and is not used", hint)


def check_models(home: Home, settings: Settings) -> Iterator[Found]:
    """Yield the aliases whose model nobody knows, and price lists that cannot be read."""
    try:
        prices = price_book(settings.prices, home.prices)
    except PriceListUnusable as error:
        yield Found("problem", "prices", error.message, error.hint)
        return
    for caution in unknown_models(settings, prices):
        yield Found("warning", "models", caution, 'correct it in settings.yaml; "farthing prices show" finds names')


def check_addresses(settings: Settings, environment: Mapping[str, str], ports: Collection[int]) -> Iterator[Found]:
    """Yield variables that tell a client where to call, and that we do not follow."""
    for caution in unused_addresses(settings, environment, ports):
        yield Found("warning", "environment", caution)


def check_port(home: Home, server: ServerSettings, running: Running | None, port: int | None = None) -> Iterator[Found]:
    """Yield whether our port is free, or who has it; `port` is asked about instead of the settings' own."""
    pid = holder(home.lock)
    if running is not None and port in (None, running.port):
        yield Found("ok", "port", f"{_place(running.host, running.port)} is served by Farthing (pid {pid})")
        return
    port = server.port if port is None else port
    where = _place(server.host, port)
    if port == 0:
        yield Found("ok", "port", f"any free one at {server.host}")
        return
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((server.host, port))
    except OSError as error:
        owner = listener_pid(port)
        if pid is not None and running is None and owner in (pid, None):
            yield Found("ok", "port", f"{where} is served by Farthing (pid {pid})")
        else:
            by = f" by pid {owner}" if owner is not None else ""
            told = f"{where} cannot be taken: {error.strerror or error}{by}"
            yield Found("problem", "port", told, "stop that program, or choose another server.port or --port")
        return
    at = f"; Farthing (pid {pid}) serves this home at port {running.port}" if running is not None else ""
    yield Found("ok", "port", f"{where} is free{at}")


def _place(host: str, port: int) -> str:
    return url_of(host, port).removeprefix("http://")


def listener_pid(port: int, proc: Path = Path("/proc")) -> int | None:
    """Return the process that listens on a port, where the system tells (Linux, one's own processes)."""
    inodes: set[str] = set()
    for table in (proc / "net" / "tcp", proc / "net" / "tcp6"):
        try:
            lines = table.read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        rows = (line.split() for line in lines)
        inodes |= {row[9] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for folder in proc.glob("[0-9]*/fd") if wanted else ():
        try:
            if any(str(link.readlink()) in wanted for link in folder.iterdir()):
                return int(folder.parent.name)
        except OSError:
            continue  # another user's, or gone meanwhile
    return None


def check_room(home: Home) -> Iterator[Found]:
    """Yield how much room the disk has that the home is on."""
    place = next(path for path in (home.path, *home.path.parents) if path.exists())
    free = shutil.disk_usage(place).free
    told = f"{free / (1 << 30):.1f} GB free"
    if free < NO_ROOM_BYTES:
        yield Found("problem", "disk", told, "make room: without it every call is refused")
    elif free < LITTLE_ROOM_BYTES:
        yield Found("warning", "disk", told, "make room, or move the home")
    else:
        yield Found("ok", "disk", told)


def check_clock(home: Home, now_us: int) -> Iterator[Found]:
    """Yield whether the clock can be right: prices depend on the date, and ids on the time."""
    now = datetime.fromtimestamp(now_us // 1_000_000, UTC)
    told = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    hint = "set the clock, best by NTP: prices depend on the date"
    if not _FIRST_YEAR <= now.year <= _LAST_YEAR:
        yield Found("problem", "clock", f"it says {told}", hint)
        return
    kept = [path for path in (home.settings, home.database) if path.exists()]
    ahead = [path for path in kept if path.stat().st_mtime_ns // 1_000 > now_us + 300_000_000]
    if ahead:
        yield Found("warning", "clock", f"it says {told}, and {ahead[0].name} was written later", hint)
    else:
        yield Found("ok", "clock", told)


def check_open_files(server: ServerSettings) -> Iterator[Found]:
    """Yield whether the system lets us open two sockets for each connection that the settings allow."""
    try:
        import resource  # noqa: PLC0415
    except ImportError:
        yield Found("ok", "open files", "this system has no such limit")
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * server.max_connections + FILES_FOR_OURSELVES
    if hard in (resource.RLIM_INFINITY, -1) or hard >= needed:
        yield Found("ok", "open files", "as many as needed" if hard < 0 else f"up to {hard:,}")
        return
    told = f"up to {hard:,}; {server.max_connections:,} connections need {needed:,}"
    yield Found("warning", "open files", told, "raise the hard limit (ulimit -Hn), or lower server.max_connections")
