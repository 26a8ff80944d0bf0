"""No test reaches the network: a connection to, or a look-up of, anything but this machine fails where it is made.

And what a test starts hears its signals, however the tests were started.
"""

import ipaddress
import signal
import sys
from typing import Any

import pytest

_LOCAL_NAMES = {"localhost", "", "testserver"}


def _is_local(host: object) -> bool:
    if host is None:
        return True
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if not isinstance(host, str) or host in _LOCAL_NAMES or host.endswith((".invalid", ".localhost")):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _audit(event: str, args: tuple[Any, ...]) -> None:
    host: object = None
    if event in ("socket.connect", "socket.sendto") and isinstance(args[1], tuple):
        host = args[1][0]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = args[0]
    if not _is_local(host):
        raise RuntimeError(f"a test tried to reach {host!r}: tests stay on this machine")


sys.addaudithook(_audit)


def pytest_configure(config: pytest.Config) -> None:
    """Have what the tests start hear its signals.

    Behind a shell's `&`, or under nohup, they are ignored, which every program inherits; a handler it does not. Who
    only starts others that run the tests goes on ignoring them, and so do those.
    """
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        return
    for name in ("SIGINT", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.fixture(params=["uvloop", "asyncio"])
def both_loops(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}
