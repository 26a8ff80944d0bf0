"""Measure Farthing beside a bare echo and nginx, and print the table.

    python benchmarks/run.py             measure and print
    python benchmarks/run.py --record    and keep the figures in history.jsonl, and the table in README.md
    python benchmarks/run.py --guard     and fail when a ratio to the echo of the same run is 15 % worse than recorded

The gateway runs as its users run it, with everything switched on, pinned to one core; load and upstream share another.
CPU microseconds are what to compare: they repeat within a few percent where latencies do not. FARTHING_CI_SCALE
shortens every measurement.
"""

import argparse
import inspect
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.formats import Format, formats
from benchmarks.load import Ask, Told, load
from benchmarks.processes import cpu_us, echo, gateway, nginx, rss_mb, upstream
from benchmarks.table import HISTORY, SPREAD, Figures, render, write_readme

SCALE = float(os.environ.get("FARTHING_CI_SCALE", "1"))
SECONDS = max(1.0, 4.0 * SCALE)
ROUNDS = 5
FORMAT_ROUNDS = 3
GUARD_ROOM = 1.15
GUARD_TRIES = 3
"""A neighbour's minute on a shared machine can pass for a slower gateway once, and hardly three times in a row."""
EVENTS = 53
SCANS = 3_000

SMALL = json.dumps(
    {
        "model": "gpt-5-mini",
        "messages": [{"role": "system", "content": "You are terse."}, {"role": "user", "content": "word " * 150}],
        "temperature": 0.2,
        "max_completion_tokens": 256,
    }
).encode()


def agent_body(size: int) -> bytes:
    """Return a coding agent's request of about `size` bytes: tools, a question, and files it has read, as real code."""
    tools = [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": str(getattr(shutil, name).__doc__),
                "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
            },
        }
        for name in ("copy", "copytree", "move", "rmtree", "which", "make_archive", "unpack_archive", "disk_usage")
    ]
    files = [inspect.getsource(module) for module in (argparse, shutil, statistics, json)]
    code = "\n".join(files)[: size - 12_000]
    reads = [code[at : at + 6_000] for at in range(0, len(code), 6_000)]
    messages: list[dict[str, str]] = [{"role": "system", "content": "You are a careful engineer. " * 40}]
    for number, text in enumerate(reads):
        messages.append({"role": "assistant", "content": f"I read file {number}."})
        messages.append({"role": "user", "content": text})
    body: dict[str, object] = {"model": "gpt-5-mini", "messages": messages, "tools": tools, "metadata": {"pad": ""}}
    body["metadata"] = {"pad": "x" * max(0, size - len(json.dumps(body)))}
    return json.dumps(body).encode()


LARGE = agent_body(112 * 1024)
STREAMED = SMALL[:-1] + b', "stream": true, "stream_options": {"include_usage": true}}'


def ask(
    port: int, key: str, body: bytes, connections: int, seconds: float, *, slow: bool = False, streamed: bool = False
) -> Ask:
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
        port=port, path="/v1/chat/completions", body=body, headers=headers, connections=connections, seconds=seconds
    )


def format_asks(port: int, key: str, one: Format) -> list[tuple[str, Ask, int]]:
    """Return what is asked of a further format: the figure's name, the request, and how many events share its cost."""
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
        seconds=SECONDS / 2,
    )
    asks = [(f"{one.name}_us", whole, 1)]
    if one.events:
        streamed = msgspec.structs.replace(
            whole,
            path=one.stream_path or one.path,
            body=json.dumps(one.stream_body).encode(),
            headers={**headers, "x-bench-stream": "1"},
        )
        asks.append((f"{one.name}_event_us", streamed, len(one.events)))
    return asks


def cpu_per_request(process: "subprocess.Popen[bytes]", asked: Ask) -> tuple[float, Told]:
    """Return CPU microseconds per request of `process` while it is asked."""
    before = cpu_us(process)
    told = load(asked)
    used = cpu_us(process) - before
    assert told.failed == 0, f"{told.failed} of {told.requests} requests failed"
    return used / told.requests, told


def measure(upstream_port: int) -> Figures:
    """Run everything once through; rounds alternate, so that a noisy minute hits all alike."""
    found: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    with echo() as (bare, bare_port), gateway(upstream_port) as served, nginx(upstream_port) as proxy:
        note("start_s", served.start_s)
        note("rss_idle_mb", rss_mb(served.process))
        small = ask(served.port, served.key, SMALL, 64, SECONDS)
        load(ask(served.port, served.key, SMALL, 64, 1.0))
        for _ in range(ROUNDS):
            note("echo_us", cpu_per_request(bare, ask(bare_port, "x", SMALL, 64, SECONDS / 2))[0])
            used, told = cpu_per_request(served.process, small)
            note("small_us", used)
            note("small_per_s", told.requests / told.seconds)
            large = cpu_per_request(served.process, ask(served.port, served.key, LARGE, 64, SECONDS))[0]
            note("large_added_us", large - used)
            note("scan_us", scan_us())
            streamed = ask(served.port, served.key, STREAMED, 64, SECONDS, streamed=True)
            note("event_us", cpu_per_request(served.process, streamed)[0] / EVENTS)
            if proxy is not None:
                note("nginx_us", cpu_per_request(proxy[0], ask(proxy[1], "x", SMALL, 64, SECONDS / 2))[0])
                note("nginx_large_us", cpu_per_request(proxy[0], ask(proxy[1], "x", LARGE, 64, SECONDS / 2))[0])
                streamed = ask(proxy[1], "x", STREAMED, 64, SECONDS / 2, streamed=True)
                note("nginx_event_us", cpu_per_request(proxy[0], streamed)[0] / EVENTS)
            for name, slow, connections in (("c1", False, 1), ("c64_50ms", True, 64)):
                through = load(ask(served.port, served.key, SMALL, connections, SECONDS / 2, slow=slow))
                asked = ask(upstream_port, "x", SMALL, connections, SECONDS / 2)
                path = "/d50/v1/chat/completions" if slow else asked.path
                direct = load(
                    Ask(
                        port=upstream_port,
                        path=path,
                        body=asked.body,
                        headers=asked.headers,
                        connections=connections,
                        seconds=asked.seconds,
                    )
                )
                note(f"added_p50_{name}_us", through.p50_us - direct.p50_us)
        for _ in range(FORMAT_ROUNDS):
            for one in formats():
                for name, asked, pieces in format_asks(served.port, served.key, one):
                    note(name, cpu_per_request(served.process, asked)[0] / pieces)
        asked_for = 0
        while asked_for < 100_000 * min(1.0, SCALE):
            asked_for += load(small).requests
        note("rss_loaded_mb", rss_mb(served.process))
    for _ in range(ROUNDS):
        note("import_s", import_s("farthing"))
        note("import_app_s", import_s("farthing.app"))
    figures = {name: statistics.median(values) for name, values in found.items()}
    figures |= {f"{name}_low": min(values) for name, values in found.items() if name in SPREAD}
    figures |= {f"{name}_high": max(values) for name, values in found.items() if name in SPREAD}
    if "nginx_large_us" in figures:
        figures["nginx_large_us"] -= figures["nginx_us"]
    figures["ratio_small"] = figures["small_us"] / figures["echo_us"]
    figures["ratio_event"] = figures["event_us"] / figures["echo_us"]
    return figures


def scan_us() -> float:
    """Return the CPU microseconds of work that never changes: find the members of the large body, in this process.

    It tells a slow minute of a shared machine from a slow gateway.
    """
    members = msgspec.json.Decoder(dict[str, msgspec.Raw])
    began = time.process_time()
    for _ in range(SCANS):
        members.decode(LARGE)
    return (time.process_time() - began) / SCANS * 1e6


def import_s(module: str) -> float:
    """Return the CPU seconds that an import takes, the interpreter's own start left out."""
    code = f"import time; t = time.process_time(); import {module}; print(time.process_time() - t)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


def machine() -> dict[str, str]:
    """Say where this was measured."""
    model = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text(encoding="utf-8").splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return {
        "processor": f"{model}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def guard(figures: Figures) -> int:
    """Compare the ratios with the last recorded ones; return the exit status."""
    if not HISTORY.exists():
        print("guard: nothing is recorded yet")
        return 0
    last = json.loads(HISTORY.read_text(encoding="utf-8").splitlines()[-1])["figures"]
    status = 0
    for name in ("ratio_small", "ratio_event"):
        worse = figures[name] / last[name]
        print(f"guard: {name} is {figures[name]:.2f}, recorded {last[name]:.2f} ({worse - 1:+.0%})")
        status |= worse > GUARD_ROOM
    return status


def main() -> int:
    """Measure, print, and keep or compare as asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--guard", action="store_true")
    options = parser.parse_args()
    where = machine()
    tries = GUARD_TRIES if options.guard else 1
    while True:
        tries -= 1
        with upstream() as port:
            figures = measure(port)
        print(render(figures, where))
        status = guard(figures) if options.guard else 0
        if not status or not tries:
            break
    if options.record:
        with HISTORY.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"machine": where, "figures": {k: round(v, 4) for k, v in figures.items()}}) + "\n")
        write_readme(figures, where)
    return status


if __name__ == "__main__":
    sys.exit(main())
