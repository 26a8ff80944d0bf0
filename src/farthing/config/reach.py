"""By which address clients reach us, where we listen on every address of this machine.

`0.0.0.0` and `::` are fine to listen on and no address to call: some systems take them for this machine, no other
machine does. So the address is shown from which this machine would speak to others.
"""

import ipaddress
import socket
from collections.abc import Mapping

_ELSEWHERE: Mapping[socket.AddressFamily, str] = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
"""Addresses for documentation (RFC 5737, RFC 3849): nobody has them, and nothing is sent there."""
_ANY_PORT = 9


def listens_everywhere(host: str) -> bool:
    """Whether listening on this host means every address of this machine."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def reachable_host(host: str, elsewhere: Mapping[socket.AddressFamily, str] = _ELSEWHERE) -> str:
    """Return the address by which others reach who listens on `host`; this machine's name where it has none.

    That is the address from which this machine would speak to `elsewhere`, which has an address for each family.
    """
    if not listens_everywhere(host):
        return host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # Connecting a datagram socket sends nothing: it asks the routing table for the address we would speak from.
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((elsewhere[family], _ANY_PORT))
            address: str = probe.getsockname()[0]
    except OSError:
        return socket.gethostname()
    return socket.gethostname() if listens_everywhere(address) else address


def url_of(host: str, port: int) -> str:
    """Return the address of a server as a URL."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
