"""A budget's line is crossed by a real call, and a real receiver hears of it once."""

import asyncio
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from farthing.storage.offload import ThreadOffload
from farthing.storage.sqlite import SqliteStore
from farthing.types.calls import Attempt
from tests.contracts.ledger_samples import attempt
from tests.e2e.serving import ASK, by_what_is_asked, serving, settings
from tests.e2e.upstream import Upstream

SECRET = "s1gn-with-this"
ALERTS = """
budgets:
  # the first call passes its line
  small: {usd: 0.5, period: total, at: {100: warn}}
alerts:
  channels:
    ops: {kind: webhook, url: file:%s, secret: file:%s, facts: [threshold]}
"""


REPORTS = """
alerts:
  channels:
    ops: {kind: webhook, url: file:%s}
  reports:
"""
REPORT = '    yesterday: {period: day, at: "00:00", channels: [ops]}\n'


class Heard:
    """What a receiver heard: (headers, body) in order."""

    def __init__(self) -> None:
        self.posts: list[tuple[dict[str, str], bytes]] = []

    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, body in self.posts]

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 20
        while len(self.posts) < count:
            assert time.monotonic() < deadline, f"only {len(self.posts)} of {count} came"
            time.sleep(0.02)


@contextmanager
def receiver() -> Iterator[tuple[str, Heard]]:
    heard = Heard()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            heard.posts.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/t0k3n", heard
    finally:
        server.shutdown()
        server.server_close()


def test_a_line_that_is_crossed_is_told_once_across_workers_and_restarts(tmp_path: Path) -> None:
    with receiver() as (url, heard), closing(Upstream(by_what_is_asked)) as upstream:
        home = tmp_path / "home"
        home.mkdir(mode=0o700)
        for name, text in (("url", url), ("secret", SECRET)):
            (tmp_path / name).write_text(text, encoding="utf-8")
            (tmp_path / name).chmod(0o600)
        text = settings(upstream, ALERTS % (tmp_path / "url", tmp_path / "secret"))
        with serving(home, text, "--workers", "2") as gateway:
            key = gateway.new_key()
            for _ in range(2):
                assert gateway.post("/v1/chat/completions", ASK | {"max_tokens": 5}, key).status == 200
            heard.wait_for(1)
        with serving(home, text) as gateway:
            assert gateway.post("/v1/chat/completions", ASK | {"max_tokens": 5}, key).status == 200
            (home / "settings.yaml").write_text(text.replace("at: {100: warn}", "at: none"), encoding="utf-8")
            heard.wait_for(2)
            listed = json.loads(gateway.farthing("alerts", "list", "--json").stdout)
        began, over = heard.bodies()
        assert (began["state"], began["about"]["budget"], began["about"]["left_percent"]) == ("began", "small", 100)
        assert (over["state"], over["why_over"]) == ("over", "raised")
        headers, body = heard.posts[0]
        signed = hmac.new(SECRET.encode(), headers["x-farthing-timestamp"].encode() + b"." + body, hashlib.sha256)
        assert headers["x-farthing-signature"] == "v1=" + signed.hexdigest()
        assert [one["id"] for one in listed] == [over["id"], began["id"]]
        told = (home / "serve.log").read_text(encoding="utf-8") + json.dumps(listed)
        assert "t0k3n" not in told
        assert SECRET not in told


def test_the_report_of_yesterday_is_sent_once_across_workers_and_restarts(tmp_path: Path) -> None:
    with receiver() as (url, heard), closing(Upstream(by_what_is_asked)) as upstream:
        home = tmp_path / "home"
        home.mkdir(mode=0o700)
        (tmp_path / "url").write_text(url, encoding="utf-8")
        (tmp_path / "url").chmod(0o600)
        text = settings(upstream, REPORTS % (tmp_path / "url"))
        first = text.replace("  reports:\n", f"  reports:\n{REPORT}")
        yesterday_us = (time.time_ns() // 1_000) - 86_400_000_000
        asyncio.run(keep(home, attempt(1, started_at_us=yesterday_us, project="site", cost_nanousd=2 * 10**9)))
        with serving(home, first, "--workers", "2"):
            heard.wait_for(1)
        more = "    after: {period: day, at: 0:00, channels: [ops]}\n"
        with serving(home, text.replace("  reports:\n", f"  reports:\n{REPORT}{more}")) as gateway:
            heard.wait_for(2)
            listed = json.loads(gateway.farthing("alerts", "list", "--json").stdout)
        told, after = heard.bodies()
        assert [told["about"]["name"], after["about"]["name"]] == ["yesterday", "after"], "the first is not told again"
        assert (told["kind"], told["about"]["spent_usd"], told["about"]["calls"]) == ("report", "2.000000000", 1)
        assert {told["id"], after["id"]} == {one["id"] for one in listed}
        assert "By project\n- site: $2.00" in told["text"]


async def keep(home: Path, made: Attempt) -> None:
    offload = ThreadOffload()
    store = SqliteStore(home / "farthing.db", offload)
    await store.open()
    await store.append([made])
    await store.close()
    await offload.close()
