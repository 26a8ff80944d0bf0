"""Starts what a benchmark needs, pins it to a core, and reads what it used: CPU time and memory, from /proc."""

import mmap
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.formats import write_answers

HERE = Path(__file__).resolve().parent
TICKS = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
GATEWAY_CORE, OTHER_CORE = CORES[0], CORES[-1]
START_S = 20.0


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def running(
    command: list[str], core: int, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process on one core until the block ends."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
    )
    _pin(process.pid, core)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _pin(pid: int, core: int) -> None:
    """Pin a process before it has started threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(pid, {core})


def cpu_us(process: subprocess.Popen[bytes]) -> int:
    """Return the CPU time that a process has used, all threads, user and system.

    The scheduler's own count where there is one: ticks miss or overcount what wakes up with a timer.
    """
    try:
        tasks = Path(f"/proc/{process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in tasks) // 1000
    except OSError:
        fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1_000_000 // TICKS


def rss_mb(process: subprocess.Popen[bytes]) -> float:
    """Return the resident memory of a process."""
    for line in Path(f"/proc/{process.pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ValueError("no VmRSS: this needs Linux")


def answers(port: int, path: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            sock.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
            return b" 200 " in sock.recv(64)
    except OSError:
        return False


def wait_until_answers(port: int, path: str, pause_s: float = 0.005) -> None:
    deadline = time.monotonic() + START_S
    while not answers(port, path):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing answers {path} on {port}")
        time.sleep(pause_s)


class Count:
    """A number that another process shares by a file of eight bytes."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._shared = memoryview(mmap.mmap(file.fileno(), 8)).cast("Q")

    def __call__(self) -> int:
        """Return the number as it is now."""
        return self._shared[0]


class Upstream:
    """A running provider: its port, and how many answers and events it has sent."""

    def __init__(self, port: int, sent: Count) -> None:
        self.port = port
        self.sent = sent


@contextmanager
def upstream(more: Path | None = None) -> Iterator[Upstream]:
    """Run the C upstream, which answers what is in the folder `more` as well."""
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "upstream"
        compiler = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
        if compiler is None:
            raise SystemExit("bench: no C compiler for the upstream. On Debian: apt install gcc libc6-dev")
        subprocess.run([compiler, "-O2", "-o", str(binary), str(HERE / "upstream.c")], check=True)
        write_answers(Path(folder))
        for answer in more.iterdir() if more is not None else ():
            shutil.copy(answer, folder)
        with running([str(binary), "0", folder], OTHER_CORE) as process:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            yield Upstream(port, Count(Path(folder) / "count"))


BUDGETS = """budgets:
  everybody: {usd: 1000000, period: day}
  workspace: {usd: 1000000, period: month, organisation: default}
  each-key: {usd: 1000000, period: day, key: "*"}
"""
LIMITS = """limits:
  each-key: {key: "*", requests_per_minute: 100000000}
  everybody: {tokens_per_day: 100000000000000}
"""
"""Three budgets and two limits, as many as a call has in a company, and more than a bench uses up."""


class GatewayProcess:
    """A running gateway and a key for it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, key: str, start_s: float, home: Path) -> None:
        self.process = process
        self.port = port
        self.key = key
        self.start_s = start_s
        self.home = home


@contextmanager
def gateway(upstream_port: int, source: Path | None = None, *, rules: bool = True) -> Iterator[GatewayProcess]:
    """Serve with everything on: key check, journal, ledger, and the `rules`: three budgets and two limits.

    `source` is another tree's `src`; one of before the budgets goes without them.
    """
    with_rules = rules and (source is None or (source / "farthing" / "config" / "limit_rows.py").exists())
    with tempfile.TemporaryDirectory() as folder:
        home, port = Path(folder) / "home", free_port()
        home.mkdir(mode=0o700)
        (home / "settings.yaml").write_text(
            "version: 1\nproviders:\n"
            f"  openai: {{base_url: 'http://127.0.0.1:{upstream_port}/v1', credential: env:BENCH_KEY}}\n"
            f"  groq: {{base_url: 'http://127.0.0.1:{upstream_port}/d50/v1', credential: env:BENCH_KEY}}\n"
            f"  anthropic: {{base_url: 'http://127.0.0.1:{upstream_port}', credential: env:BENCH_KEY}}\n"
            f"  gemini: {{base_url: 'http://127.0.0.1:{upstream_port}', credential: env:BENCH_KEY}}\n"
            f"  ollama: {{base_url: 'http://127.0.0.1:{upstream_port}', credential: none}}\n"
            "models: {'qwen3:8b': 'ollama:qwen3:8b'}\n" + (BUDGETS + LIMITS if with_rules else ""),
            encoding="utf-8",
        )
        farthing = [sys.executable, "-m", "farthing"]
        environment = {"BENCH_KEY": "sk-bench", "FARTHING_HOME": str(home)}
        if source is not None:
            environment["PYTHONPATH"] = str(source)
        made = subprocess.run(
            [*farthing, "keys", "create", "bench", "--json"],
            env={**os.environ, **environment},
            capture_output=True,
            check=True,
        )
        key = made.stdout.decode().partition('"key":')[2].split('"')[1]
        began = time.monotonic()
        with running([*farthing, "serve", "--port", str(port)], GATEWAY_CORE, environment) as process:
            wait_until_answers(port, "/ready")
            start_s = time.monotonic() - began
            yield GatewayProcess(process, port, key, start_s, home)


@contextmanager
def echo() -> Iterator[tuple[subprocess.Popen[bytes], int, Count]]:
    """Run the bare echo, the same server and Python and nothing behind it; yields how much it answered, too."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        count = Path(folder) / "count"
        count.write_bytes(bytes(8))
        with running([sys.executable, str(HERE / "echo.py"), str(port), str(count)], GATEWAY_CORE) as process:
            wait_until_answers(port, "/")
            yield process, port, Count(count)


@contextmanager
def nginx(upstream_port: int) -> Iterator[tuple[subprocess.Popen[bytes], int] | None]:
    """Run nginx as a reverse proxy with kept connections, where there is one; its one worker is what is measured."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")
    if binary is None:
        yield None
        return
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        paths = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("proxy", "fastcgi", "uwsgi", "scgi"))
        (Path(folder) / "nginx.conf").write_text(
            f"daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;\n"
            "events { worker_connections 2048; }\n"
            f"http {{ access_log off; client_body_temp_path {folder}/body; {paths}\n"
            f"upstream bench {{ server 127.0.0.1:{upstream_port}; keepalive 128; keepalive_requests 10000000; }}\n"
            f"server {{ listen 127.0.0.1:{port}; keepalive_requests 10000000; client_body_buffer_size 1m;\n"
            "location = /health { return 200; }\n"
            'location / { proxy_pass http://bench; proxy_http_version 1.1; proxy_set_header Connection "";'
            " proxy_buffering off; client_max_body_size 8m; } } }\n",
            encoding="ascii",
        )
        with running([binary, "-p", folder, "-c", f"{folder}/nginx.conf"], GATEWAY_CORE) as process:
            wait_until_answers(port, "/health")
            yield process, port
