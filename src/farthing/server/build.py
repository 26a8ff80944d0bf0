"""Builds the server of a house: bounds from the settings, the hot application, the pages behind it."""

import ipaddress
import socket
from collections.abc import Callable

from farthing.app import Farthing
from farthing.config.reach import listens_everywhere, reachable_host
from farthing.config.schema import ServerSettings
from farthing.server.admin.page import AdminPage
from farthing.server.admin.token import admin_digest
from farthing.server.app import HotApp
from farthing.server.asgi import asgi
from farthing.server.listener import Bounds, Listener
from farthing.server.live import LiveServer
from farthing.server.pages import Pages


def build_server(farthing: Farthing, server: ServerSettings, on_ready: Callable[[], None]) -> LiveServer:
    """Return a server that is ready to be run."""
    admin = AdminPage(
        token_digest=lambda: admin_digest(farthing.home, farthing.pepper),
        pepper=farthing.pepper,
        store=farthing.store,
        clock=farthing.clock,
        hosts=_own_names(server),
    )
    app = HotApp(gateway=farthing.gateway, keys=farthing.keys, pages=asgi(Pages(farthing.readiness, admin)))
    bounds = Bounds(
        max_header_bytes=server.max_header_bytes,
        max_headers=server.max_headers,
        header_timeout_s=server.header_timeout_s,
        body_timeout_s=server.body_timeout_s,
        max_body_bytes=server.max_body_mb << 20,
        max_buffered_bytes=server.max_buffered_mb << 20,
        keep_alive_s=server.keep_alive_s,
        max_connections=server.max_connections,
        write_timeout_s=server.write_timeout_s,
    )
    return LiveServer(Listener(app, bounds, farthing.clock, app.render), server.drain_s, on_ready)


def _own_names(server: ServerSettings) -> frozenset[str]:
    """Return the host names under which the admin's page may be called: ours, and loopback's."""
    names = {"localhost", "127.0.0.1", "[::1]", server.host.lower()}
    if listens_everywhere(server.host):  # then the link that was printed names the address that others reach
        reachable = reachable_host(server.host).lower()
        names |= {f"[{reachable}]" if ":" in reachable else reachable, socket.gethostname().lower()}
    if server.public_url:
        names.add(server.public_url.split("://", 1)[-1].split("/", 1)[0].rsplit(":", 1)[0].lower())
    try:
        address = ipaddress.ip_address(server.host)
        if address.version == 6:
            names.add(f"[{address}]")
    except ValueError:
        pass  # a name, and it is in the set
    return frozenset(names)
