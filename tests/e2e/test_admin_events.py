"""Live events of a house of several processes: whoever listens at one of them hears of all."""

import http.client
import json
import socket
import threading
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from tests.e2e.serving import ANSWER, ASK, serving, settings, until
from tests.e2e.support import Gateway
from tests.e2e.upstream import upstream, whole
from tests.redis_server import running_redis


class Listener:
    """Reads events until it is closed."""

    def __init__(self, gateway: Gateway) -> None:
        token = "fta-" + gateway.farthing("admin", "link").stdout.partition("fta-")[2].split()[0]
        self.calls: list[dict[str, Any]] = []
        self._connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
        headers = {"authorization": f"Bearer {token}"}
        self._connection.request("GET", "/admin/v1/events?seconds=60", headers=headers)
        assert self._connection.sock is not None
        self._socket = self._connection.sock
        self._answer = self._connection.getresponse()
        assert self._answer.readline() == b": farthing\n"
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with suppress(OSError, http.client.HTTPException):  # it is closed
            while line := self._answer.readline():
                if line.startswith(b"data: ") and (event := json.loads(line[6:]))["type"] == "call":
                    self.calls.append(event)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(30)
        self._answer.close()
        self._connection.close()

    @property
    def names(self) -> Counter[str]:
        return Counter(call["key_name"] for call in list(self.calls))


def test_a_listener_hears_of_every_workers_calls_each_once(tmp_path: Path) -> None:
    with upstream(whole(ANSWER)) as server, serving(tmp_path / "h", settings(server), "--workers", "3") as gateway:
        key = gateway.new_key("warm")
        assert gateway.post("/v1/chat/completions", ASK, key).status == 200
        found = Listener(gateway)
        watched = gateway.new_key("watched")
        until(lambda: _asked(gateway, key) and found.names["warm"] > 0, "it hears of one of them")
        for _ in range(30):  # each on a connection of its own, so by any of the three
            assert gateway.post("/v1/chat/completions", ASK, watched).status == 200
        until(lambda: found.names["watched"] >= 30, f"{found.names}")
        found.close()
        assert found.names["watched"] == 30
        assert len({call["call_id"] for call in found.calls}) == len(found.calls)


def test_hosts_that_share_a_redis_hear_of_each_others_calls(tmp_path: Path) -> None:
    with running_redis() as redis, upstream(whole(ANSWER)) as server, ExitStack() as stack:
        text = settings(server, f"storage: {{redis: '{redis.url}'}}")
        one, two = (stack.enter_context(serving(tmp_path / name, text)) for name in ("one", "two"))
        key, found = two.new_key("theirs"), Listener(one)
        until(lambda: _asked(two, key) and found.names["theirs"] > 0, "it hears of the other host's calls")
        redis.freeze()  # and nobody waits for it
        assert _asked(two, key)
        redis.thaw()
        found.close()


def _asked(gateway: Gateway, key: str) -> bool:
    return gateway.post("/v1/chat/completions", ASK, key).status == 200
