"""Builds the server of a house: bounds from the settings, the hot application, the pages behind it, and its watch."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from urllib.parse import urlsplit

from farthing.app import Farthing
from farthing.config.reach import listens_everywhere, reachable_host
from farthing.config.schema import ServerSettings
from farthing.monitoring.exposition import Family
from farthing.monitoring.logs import PROCESS_LOGS
from farthing.monitoring.siblings import Siblings
from farthing.monitoring.watch import Watch
from farthing.server.admin.first_visit import AtFirstVisit
from farthing.server.admin.page import AdminPage
from farthing.server.admin.token import admin_digest
from farthing.server.app import HotApp
from farthing.server.asgi import asgi
from farthing.server.bounds import bounds_of
from farthing.server.figures import house_families
from farthing.server.listener import AsgiApp, Listener
from farthing.server.live import LiveServer
from farthing.server.metrics_page import MetricsPage
from farthing.server.pages import Pages
from farthing.storage.offload import ThreadOffload


def build_server(
    farthing: Farthing, server: ServerSettings, on_ready: Callable[[], None], worker: int | None = None
) -> LiveServer:
    """Return a server that is ready to be run; as `worker` it is one of several that serve the home together."""
    admin = AdminPage(
        token_digest=lambda: admin_digest(farthing.home, farthing.pepper),
        pepper=farthing.pepper,
        store=farthing.store,
        clock=farthing.clock,
        hosts=_own_names(server),
    )
    watch = Watch(
        farthing.ledger.call_finished,
        log_settings=lambda: farthing.settings.log,
        home=farthing.home,
        logs=PROCESS_LOGS,
        offload=ThreadOffload("farthing-logs"),
        keeps_level=worker is not None,
    )
    siblings = None if worker is None else Siblings(farthing.home, worker, ThreadOffload("farthing-figures"))

    def families() -> Iterator[Family]:
        return house_families(farthing, listener, watch, app.errors)

    async def all_families() -> Iterable[Family]:
        return families() if siblings is None else await siblings.all(families())

    metrics = MetricsPage(
        families=all_families,
        token_digest=lambda: admin_digest(farthing.home, farthing.pepper),
        pepper=farthing.pepper,
    )

    def admin_api() -> AsgiApp:
        from farthing.server.admin.access import Door  # noqa: PLC0415 - see `AtFirstVisit`
        from farthing.server.admin.api import AdminApi  # noqa: PLC0415
        from farthing.server.admin.ask import House  # noqa: PLC0415
        from farthing.server.admin.table import ADMIN_TABLE  # noqa: PLC0415

        door = Door(
            token_digest=lambda: admin_digest(farthing.home, farthing.pepper),
            pepper=farthing.pepper,
            tokens=farthing.admin_tokens,
            knows_cookie=admin.knows,
            hosts=_own_names(server),
        )
        return AdminApi(House(farthing, all_families, lambda: listener.draining), door, ADMIN_TABLE)

    pages = Pages(farthing.readiness, admin, AtFirstVisit(admin_api), metrics)
    app = HotApp(gateway=farthing.gateway, keys=farthing.keys, pages=asgi(pages))
    listener = Listener(app, bounds_of(server), farthing.clock, app.render, app.knows)
    publishing = None if siblings is None else Publishing(siblings, families)
    return WatchedServer(watch, publishing, listener, server.drain_s, on_ready)


class Publishing:
    """Leaves our figures for the other processes while the block runs."""

    def __init__(self, siblings: Siblings, families: Callable[[], Iterable[Family]]) -> None:
        self._siblings = siblings
        self._families = families

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._siblings.publish(self._families), name="figures")

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._siblings.close()


class WatchedServer(LiveServer):
    """A server whose calls are counted and whose log lines are carried away while it serves."""

    def __init__(
        self,
        watch: Watch,
        publishing: Publishing | None,
        listener: Listener,
        drain_s: float,
        on_ready: Callable[[], None],
    ) -> None:
        """`publishing` is for where there are other processes."""
        super().__init__(listener, drain_s, on_ready)
        self._watch = watch
        self._publishing = publishing

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal, under watch."""
        await self._watch.start()
        try:
            async with self._publishing or nullcontext():
                await super().serve(sockets)
        finally:
            await self._watch.close()


def _own_names(server: ServerSettings) -> frozenset[str]:
    """Return the host names under which the admin's page may be called: ours, and loopback's."""
    names = {"localhost", "127.0.0.1", "[::1]", server.host.lower()}
    if listens_everywhere(server.host):  # then the link that was printed names the address that others reach
        reachable = reachable_host(server.host).lower()
        names |= {f"[{reachable}]" if ":" in reachable else reachable, socket.gethostname().lower()}
    if server.public_url:
        named = urlsplit(server.public_url).hostname or ""
        names.add(f"[{named}]" if ":" in named else named)
    try:
        address = ipaddress.ip_address(server.host)
        if address.version == 6:
            names.add(f"[{address}]")
    except ValueError:
        pass  # a name, and it is in the set
    return frozenset(names)
