"""Where the gateway that serves a home can be called from this machine, and whether it is ready."""

import http.client
import json
from urllib.parse import quote

from farthing.config.paths import Home
from farthing.config.reach import listens_everywhere, url_of
from farthing.config.running import read_running
from farthing.errors import ConfigError, FarthingError

_TIMEOUT_S = 5.0
"""A gateway answers in milliseconds; one that has just been started needs half a second."""

_MOST_MODELS_BYTES = 4 << 20
"""A list of 2,330 models has 400 KB."""


class Address:
    """A gateway's address on this machine."""

    def __init__(self, host: str, port: int) -> None:
        self.host = ("::1" if ":" in host else "127.0.0.1") if listens_everywhere(host) else host
        self.port = port

    @property
    def url(self) -> str:
        """How agents are told to call it."""
        return url_of(self.host, self.port)

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """Return status and body; never by a proxy.

        Raises:
            OSError: it does not answer.
        """
        connection = http.client.HTTPConnection(self.host, self.port, timeout=_TIMEOUT_S)
        try:
            connection.request("GET", path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read(_MOST_MODELS_BYTES)
        except http.client.HTTPException as error:
            raise OSError(f"what answers there is no gateway: {error}") from error
        finally:
            connection.close()

    def models(self, key: str) -> tuple[str, ...]:
        """Return what it lists; nothing where it cannot say."""
        try:
            status, body = self.get(f"/k/{quote(key)}/v1/models")
            found = json.loads(body)["data"] if status == 200 else []
            return tuple(row["id"] for row in found)
        except (OSError, ValueError, KeyError, TypeError):
            return ()


def ready_gateway(home: Home) -> Address:
    """Return the gateway that serves this home.

    Raises:
        FarthingError: none does, or it takes no calls now.
    """
    running = read_running(home)
    if running is None:
        raise ConfigError(
            f"No gateway serves the home {str(home.path)!r}, so no agent can reach it.",
            hint='start it in another terminal: "farthing serve"; if another home is served, name it with --home.',
        )
    address = Address(running.host, running.port)
    try:
        status, body = address.get("/ready")
    except OSError as error:
        raise FarthingError(
            f"The gateway (pid {running.pid}) does not answer at {address.url}: {error}.",
            hint='"farthing doctor" looks closer.',
        ) from error
    if status != 200:
        raise FarthingError(
            f"The gateway at {address.url} takes no calls now: {body[:300].decode('utf-8', 'replace')}.",
            hint='"farthing doctor" says what to do.',
        )
    return address
