"""The replay server as a process, and one kept connection for each server that the test talks to."""

import http.client
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.support import Answer


class Line:
    """A connection that is kept from one request to the next, because opening 6,000 takes longer than all else."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Return the answer, read whole; a connection that the server ended is opened again for the next request."""
        self._connection.request(method, path, body, dict(headers or {}))
        return Answer(self._connection.getresponse())

    def close(self) -> None:
        self._connection.close()


class Replay:
    """A running replay server."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._line = Line(port)
        self._seen = 0

    def cut_streams(self, every_bytes: int) -> None:
        """Send streams in pieces of this size from now on, or event by event at 0: real cuts were not recorded."""
        config = json.dumps({"split_bytes": every_bytes}).encode()
        assert self._line.send("POST", "/__config", config).status == 200

    def new_calls(self) -> list[dict[str, Any]]:
        """Return what the server was sent since this was last asked."""
        calls: list[dict[str, Any]] = self._line.send("GET", f"/__calls?since={self._seen}").json()["calls"]
        self._seen = max([self._seen, *(call["seq"] for call in calls)])
        return calls

    def close(self) -> None:
        self._line.close()


@contextmanager
def running_replay(recordings: Path) -> Iterator[Replay]:
    """Serve the recordings until the block ends."""
    with subprocess.Popen(
        [sys.executable, str(recordings / "replay_server.py"), "--port", "0"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        found = re.search(r"all=http://127\.0\.0\.1:(\d+)", process.stdout.readline())
        assert found, "the replay server did not say where it listens"
        replay = Replay(int(found.group(1)))
        yield replay
        replay.close()
        process.terminate()
