"""Measures everything once: rounds that alternate between what is compared, each in slices (see slices.py)."""

import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import msgspec

from benchmarks.bodies import BEGINNINGS, LARGE, SMALL, STREAMED, TURNS
from benchmarks.formats import Format, formats
from benchmarks.load import Ask, load
from benchmarks.processes import (
    GATEWAY_CORE,
    OTHER_CORE,
    GatewayProcess,
    Upstream,
    cpu_us,
    echo,
    gateway,
    nginx,
    rss_mb,
)
from benchmarks.slices import LOOPS, MIN_CALM, Patience, Slice, calm, cost, full_speed_us, loop_us, take
from benchmarks.table import Figures

SCALE = float(os.environ.get("FARTHING_CI_SCALE", "1"))
SECONDS = max(1.0, 2.0 * SCALE)
ROUNDS = 5
MOST_ROUNDS = 7
"""What had too few calm slices in five rounds is taken up again, up to so often."""
PATIENCE_S = 150.0 * SCALE
"""So long the rounds of a run wait for a calm machine, all together: half as long as they take themselves."""
GUARDED = ("echo_us", "small_us", "event_us")
OPENING_S = 0.1
SCANS = 100
STARTS = 3


class Subject(msgspec.Struct, kw_only=True):
    """What is measured: who spends the time, how his work is counted, and what he is asked."""

    name: str
    process: "subprocess.Popen[bytes]"
    done: Callable[[], int]
    ask: Ask
    slices: list[Slice] = []


def ask(port: int, key: str, body: bytes, connections: int, *, slow: bool = False, streamed: bool = False) -> Ask:
    """Return a request such as an SDK sends."""
    headers = {
        "content-type": "application/json",
        "accept": "application/json",
        "authorization": f"Bearer {key}",
        "user-agent": "OpenAI/Python 3.3.0",
        "x-stainless-lang": "python",
        "x-stainless-package-version": "3.3.0",
        "x-stainless-os": "Linux",
        "x-stainless-arch": "x64",
        "x-stainless-runtime": "CPython",
    }
    if streamed:
        headers["x-bench-stream"] = "1"
    if slow:
        body = body.replace(b'"gpt-5-mini"', b'"groq:openai/gpt-oss-20b"')
    return Ask(
        port=port, path="/v1/chat/completions", body=body, headers=headers, connections=connections, seconds=SECONDS
    )


def format_asks(port: int, key: str, one: Format) -> list[tuple[str, Ask]]:
    """Return what is asked of a further format, and under which name it is kept."""
    headers = {
        "content-type": "application/json",
        "authorization": f"Bearer {key}",
        "anthropic-version": "2023-06-01",
        "x-bench-answer": one.name,
    }
    whole = Ask(
        port=port,
        path=one.path,
        body=json.dumps(one.body).encode(),
        headers=headers,
        connections=64,
        seconds=SECONDS,
    )
    asks = [(f"{one.name}_us", whole)]
    if one.events:
        streamed = msgspec.structs.replace(
            whole,
            path=one.stream_path or one.path,
            body=json.dumps(one.stream_body).encode(),
            headers={**headers, "x-bench-stream": "1"},
        )
        asks.append((f"{one.name}_event_us", streamed))
    return asks


def measure(provider: Upstream) -> Figures:
    """Run everything, and return the figures by name."""
    figures: Figures = {"start_s": statistics.median(_start_s(provider.port) for _ in range(STARTS))}
    with ExitStack() as stack:
        served = stack.enter_context(gateway(provider.port))
        figures["rss_idle_mb"] = rss_mb(served.process)
        load(msgspec.structs.replace(ask(served.port, served.key, SMALL, 64), seconds=1.0))
        subjects = _subjects(stack, served, provider)
        scans: list[Slice] = []
        alone: dict[str, list[Slice]] = {"through": [], "direct": []}
        slow: list[Slice] = []
        patience = Patience(GATEWAY_CORE, PATIENCE_S)
        for number in range(MOST_ROUNDS):
            wanting = [one for one in subjects if number < ROUNDS or len(calm(one.slices)) < MIN_CALM]
            for subject in wanting:
                patience.wait()
                take_round(subject)
            if not wanting:
                break
            scans += _scans()
            _alone(alone, served, provider.port)
            slow.append(_slow(served, provider.port))
        figures["added_p50_c64_50ms_us"] = statistics.median(one.used_us for one in calm(slow))
        _fill(served)
        figures["rss_loaded_mb"] = rss_mb(served.process)
    figures["import_s"] = statistics.median(_import_s("farthing") for _ in range(ROUNDS))
    figures["import_app_s"] = statistics.median(_import_s("farthing.app") for _ in range(ROUNDS))
    return figures | _costs(subjects, scans, alone)


def measure_guarded(provider: Upstream) -> Figures:
    """Run again only what the guard compares."""
    with ExitStack() as stack:
        served = stack.enter_context(gateway(provider.port))
        load(msgspec.structs.replace(ask(served.port, served.key, SMALL, 64), seconds=1.0))
        subjects = [one for one in _subjects(stack, served, provider) if one.name in GUARDED]
        patience = Patience(GATEWAY_CORE, PATIENCE_S / 3)
        for _ in range(MOST_ROUNDS):
            for subject in subjects:
                patience.wait()
                take_round(subject)
        found = {f"{one.name}_low": cost(one.slices).low for one in subjects}
        return _ratios(found) | {"loop_us": full_speed_us(_scans())}


def _subjects(stack: ExitStack, served: GatewayProcess, provider: Upstream) -> list[Subject]:
    bare, bare_port, answered = stack.enter_context(echo())
    proxy = stack.enter_context(nginx(provider.port))

    def through(name: str, asked: Ask) -> Subject:
        return Subject(name=name, process=served.process, done=provider.sent, ask=asked)

    port, key = served.port, served.key
    subjects = [
        Subject(name="echo_us", process=bare, done=answered, ask=ask(bare_port, "x", SMALL, 64)),
        through("small_us", ask(port, key, SMALL, 64)),
        through("large_us", _in_turn(ask(port, key, LARGE, 64), TURNS)),
        through("first_large_us", _in_turn(ask(port, key, LARGE, 64), BEGINNINGS)),
        through("event_us", ask(port, key, STREAMED, 64, streamed=True)),
    ]
    if proxy is not None:
        nginx_process, nginx_port = proxy
        for name, body in (("nginx_us", SMALL), ("nginx_large_us", LARGE), ("nginx_event_us", STREAMED)):
            asked = ask(nginx_port, "x", body, 64, streamed=body is STREAMED)
            asked = _in_turn(asked, TURNS) if body is LARGE else asked
            subjects.append(Subject(name=name, process=nginx_process, done=provider.sent, ask=asked))
    for one in formats():
        subjects += [through(name, asked) for name, asked in format_asks(port, key, one)]
    return subjects


def _in_turn(asked: Ask, bodies: tuple[bytes, ...]) -> Ask:
    return msgspec.structs.replace(asked, others=bodies)


def take_round(subject: Subject) -> None:
    """Load for a round, and take its slices meanwhile; its first moment only opens connections."""
    over = threading.Event()

    def ask_all() -> None:
        try:
            told = load(subject.ask)
        finally:
            over.set()
        assert told.failed == 0, f"{subject.name}: {told.failed} of {told.requests} requests failed"

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask_all)
        before = subject.done()
        while subject.done() == before and not over.is_set():
            time.sleep(0.001)
        time.sleep(OPENING_S)
        subject.slices += take(GATEWAY_CORE, lambda: cpu_us(subject.process), subject.done, lambda: not over.is_set())
        asking.result()


def _scans() -> list[Slice]:
    """Find the members of the large body again and again: work that never changes, in the same terms."""
    members = msgspec.json.Decoder(dict[str, msgspec.Raw])
    slices, before = [], loop_us(GATEWAY_CORE)
    for _ in range(ROUNDS * 10):
        began, wall = time.thread_time_ns(), time.perf_counter()
        for _ in range(SCANS):
            members.decode(LARGE)
        used, wall = (time.thread_time_ns() - began) / 1_000, time.perf_counter() - wall
        after = loop_us(GATEWAY_CORE)
        slices.append(Slice(used_us=used, done=SCANS, wall_s=wall, loop_us=max(before, after)))
        before = after
    return slices


def _alone(alone: dict[str, list[Slice]], served: GatewayProcess, upstream_port: int) -> None:
    """Ask one at a time, in turn through the gateway and of the provider; a slice keeps its median."""
    asks = {"through": ask(served.port, served.key, SMALL, 1), "direct": ask(upstream_port, "x", SMALL, 1)}
    requests = {name: asked.raw() for name, asked in asks.items()}
    with ExitStack() as stack:
        open_ = {
            name: stack.enter_context(socket.create_connection(("127.0.0.1", asked.port), timeout=10))
            for name, asked in asks.items()
        }
        for sock in open_.values():
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(ROUNDS * 2):
            for name, sock in open_.items():
                before = max(loop_us(GATEWAY_CORE), loop_us(OTHER_CORE))
                took = statistics.median(_round_trip_us(sock, requests[name]) for _ in range(100))
                after = max(loop_us(OTHER_CORE), loop_us(GATEWAY_CORE))
                alone[name].append(Slice(used_us=took, done=1, wall_s=took / 1e6, loop_us=max(before, after)))


def _round_trip_us(sock: socket.socket, request: bytes) -> float:
    began = time.perf_counter_ns()
    sock.sendall(request)
    received = b""
    while b"\r\n\r\n" not in received:
        received += sock.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    left = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]) - len(body)
    while left > 0:
        left -= len(sock.recv(65536))
    return (time.perf_counter_ns() - began) / 1_000


def _slow(served: GatewayProcess, upstream_port: int) -> Slice:
    """Measure what is added to 50 ms, 64 at a time: the difference of two medians."""
    before = max(loop_us(GATEWAY_CORE) for _ in range(LOOPS))
    through = load(ask(served.port, served.key, SMALL, 64, slow=True))
    direct = ask(upstream_port, "x", SMALL, 64)
    straight = load(msgspec.structs.replace(direct, path="/d50/v1/chat/completions"))
    after = max(loop_us(GATEWAY_CORE) for _ in range(LOOPS))
    return Slice(used_us=through.p50_us - straight.p50_us, done=1, wall_s=through.seconds, loop_us=max(before, after))


def _fill(served: GatewayProcess) -> None:
    asked_for = 0
    while asked_for < 100_000 * min(1.0, SCALE):
        asked_for += load(ask(served.port, served.key, SMALL, 64)).requests


def _costs(subjects: list[Subject], scans: list[Slice], alone: dict[str, list[Slice]]) -> Figures:
    figures: Figures = {"loop_us": full_speed_us(scans), "calm_share": 0.0}
    taken = {one.name: cost(one.slices) for one in subjects} | {"scan_us": cost(scans)}
    for name, found in taken.items():
        figures |= {name: found.us, f"{name}_low": found.low, f"{name}_high": found.high}
        figures |= {f"{name}_calm": found.calm, f"{name}_slices": found.slices, f"{name}_all": found.all_us}
    figures["small_per_s"] = taken["small_us"].per_s
    for mark in ("", "_all", "_low", "_high"):
        for name in ("large", "first_large"):
            figures[f"{name}_added_us{mark}"] = figures[f"{name}_us{mark}"] - figures[f"small_us{mark}"]
    if "nginx_large_us" in figures:
        figures["nginx_large_us"] -= figures["nginx_us"]
    one_by_one = {name: statistics.median(s.used_us for s in calm(slices)) for name, slices in alone.items()}
    figures["added_p50_c1_us"] = one_by_one["through"] - one_by_one["direct"]
    figures["calm_share"] = sum(found.calm for found in taken.values()) / sum(found.slices for found in taken.values())
    return figures | _ratios(figures)


def _ratios(figures: Figures) -> Figures:
    echo_us = figures["echo_us_low"]
    return {"ratio_small": figures["small_us_low"] / echo_us, "ratio_event": figures["event_us_low"] / echo_us}


def _start_s(upstream_port: int) -> float:
    with gateway(upstream_port) as served:
        return served.start_s


def _import_s(module: str) -> float:
    """Return the CPU seconds that an import takes, the interpreter's own start left out."""
    code = f"import time; t = time.process_time(); import {module}; print(time.process_time() - t)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
