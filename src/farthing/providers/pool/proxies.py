"""Which proxy the environment names for an origin: the variables that curl, git and the vendors' SDKs read.

`HTTPS_PROXY`, `HTTP_PROXY` and `ALL_PROXY` in either case of letters, and `NO_PROXY`: names (with all below them),
addresses, networks, each perhaps with a port, or `*`. What surprised us: a local model server would go through a
company's proxy wherever nobody had thought of NO_PROXY, so loopback never does.
"""

import base64
import ipaddress
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import msgspec

from farthing.errors import ConfigError
from farthing.providers.pool.origin import Origin

_DEFAULT_PORTS = {"http": 8080, "https": 443}
_WAY_OUT = "set it to http://host:port, perhaps with user:password@ before the host, or unset it"


class Proxy(msgspec.Struct, frozen=True):
    """Where tunnels are asked for; `authorization` is the whole header's value, and nothing prints it."""

    variable: str
    scheme: str
    host: str
    port: int
    authorization: bytes = b""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port} ({self.variable})"


class Proxies:
    """The environment's proxies."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Read the variables; lower case wins, as curl has it.

        Raises:
            ConfigError: one of them is no proxy that can be used.
        """
        everywhere = _proxy(environment, "ALL_PROXY")
        self._by_scheme = {
            "https": _proxy(environment, "HTTPS_PROXY") or everywhere,
            "http": _proxy(environment, "HTTP_PROXY") or everywhere,
        }
        without = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
        self._without = [item.strip().lower() for item in without.split(",") if item.strip()]

    def of(self, origin: Origin) -> Proxy | None:
        """Return the proxy that connections to `origin` go through; `None` where they go straight."""
        proxy = self._by_scheme[origin.scheme]
        if proxy is None or _is_loopback(origin.host):
            return None
        host = origin.host.lower().rstrip(".")
        return None if any(_matches(item, host, origin.port) for item in self._without) else proxy


def _proxy(environment: Mapping[str, str], name: str) -> Proxy | None:
    variable = next((one for one in (name.lower(), name) if environment.get(one)), None)
    if variable is None:
        return None
    text = environment[variable].strip()
    try:
        address = urlsplit(text if "://" in text else f"http://{text}")
        port = address.port
    except ValueError:
        raise ConfigError(f"{variable} is no address of a proxy", hint=_WAY_OUT) from None
    if address.scheme not in _DEFAULT_PORTS:
        raise ConfigError(f"{variable} names a proxy of the kind '{address.scheme}', and http is known", hint=_WAY_OUT)
    if not address.hostname:
        raise ConfigError(f"{variable} names no host", hint=_WAY_OUT)
    authorization = b""
    if address.username is not None:
        plain = f"{unquote(address.username)}:{unquote(address.password or '')}"
        authorization = b"Basic " + base64.b64encode(plain.encode())
    return Proxy(variable, address.scheme, address.hostname, port or _DEFAULT_PORTS[address.scheme], authorization)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost" or host.lower().endswith(".localhost")


def _matches(item: str, host: str, port: int) -> bool:
    if item == "*":
        return True
    name, colon, number = item.rpartition(":")
    if colon and number.isdigit() and (":" not in name or name.startswith("[")):
        if int(number) != port:
            return False
        item = name
    item = item.strip("[]")
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(item, strict=False)
    except ValueError:
        suffix = item.lstrip("*").lstrip(".")
        return host == suffix or host.endswith("." + suffix)


NO_PROXIES = Proxies({})
