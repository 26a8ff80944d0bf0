"""What happens in one simulation, drawn from a seed before it begins: plain data, and all of it in one place.

A schedule is one life of a house: processes one after the other on the same files, each with its clients, providers and
faults, and all but the last ending in a crash or in order. Each seed enables a few kinds of trouble and leaves the
others out: with all of them at once no call would get far enough to meet the rare ones.
"""

from random import Random
from typing import Literal

import msgspec

Operation = Literal[
    "chat",
    "responses",
    "completions",
    "embeddings",
    "messages",
    "count_tokens",
    "generate",
    "generate_array",
    "embed_content",
    "ollama_chat",
    "ollama_generate",
    "ollama_embed",
]
UsageKind = Literal["reported", "missing", "zero", "negative", "disagrees"]
Framing = Literal["chunked", "length", "close"]
CutAt = Literal["request", "head", "part"]
CutHow = Literal["reset", "goodbye", "stall"]
Body = Literal["answer", "error_inside", "garbage", "empty"]
Trouble = Literal["leaving", "slow_clients", "cuts", "errors", "odd_usage", "connecting", "store", "journal", "clock"]
StoreTrouble = Literal["away", "slow", "reply_lost", "refuses"]
JournalTrouble = Literal["full", "torn", "torn_for_good", "no_new_file"]
Model = Literal["priced", "free", "unpriced", "unknown"]
DiesAt = Literal[
    "time",
    "before_write",
    "in_write",
    "after_write",
    "before_append",
    "after_append",
    "before_exchange",
    "after_exchange",
    "before_expire",
    "after_expire",
]
Connecting = Literal["refused", "never", "closed_at_once", "slow"]

TROUBLES: tuple[Trouble, ...] = (
    "leaving",
    "slow_clients",
    "cuts",
    "errors",
    "odd_usage",
    "connecting",
    "store",
    "journal",
    "clock",
)
STREAMED: frozenset[Operation] = frozenset(
    {"chat", "responses", "completions", "messages", "generate", "generate_array", "ollama_chat", "ollama_generate"}
)
SILENT: frozenset[Operation] = frozenset({"embeddings", "embed_content", "ollama_embed"})
FREE: frozenset[Operation] = frozenset({"count_tokens"})
_MODELS: tuple[Model, ...] = ("priced", "priced", "priced", "priced", "free", "unpriced")
_OPERATIONS: tuple[Operation, ...] = (*sorted(STREAMED), *sorted(STREAMED), *sorted(SILENT), *sorted(FREE))


class Cut(msgspec.Struct, frozen=True):
    """Where and how a provider's answer ends before its end; `part` counts from 0, `inside` is in the middle of it."""

    at: CutAt
    how: CutHow
    part: int = 0
    inside: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider answers to one call; times in seconds, `words` and `gaps_s` one for each piece of text."""

    status: int
    body: Body
    head_delay_s: float
    words: tuple[int, ...]
    gaps_s: tuple[float, ...]
    usage: UsageKind
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    framing: Framing
    interim: bool
    segments: int
    at_once: bool
    cut: Cut | None
    keeps_open_s: float


class FallBack(msgspec.Struct, frozen=True):
    """One of a router's models: whose it is, and what its provider answers where it is asked."""

    provider: str
    model: Model
    answer: Answer


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One call: what is asked, in how many pieces the request arrives, and what the provider answers."""

    number: int
    operation: Operation
    streamed: bool
    model: Model
    asks_for_usage: bool
    prompt_words: int
    output_limit: int | None = None
    """What the client says of how long the answer may be, in formats where it need not."""
    pieces: int
    piece_gap_s: float
    answer: Answer
    provider: str | None = None
    """Who is asked, where that is not whom the operation belongs to."""
    router: str | None = None
    """What is named in place of a model; then `tries` are what each of its models is and answers."""
    tries: tuple[FallBack, ...] = ()


class Leave(msgspec.Struct, frozen=True):
    """When a client drops its connection: in the middle of sending its last request, waiting, or reading."""

    when: Literal["sending", "waiting", "reading"]
    after_s: float
    after_bytes: int
    reset: bool


class Slow(msgspec.Struct, frozen=True):
    """A client that stops reading when it has `after_bytes` of a body, and reads on `pause_s` later."""

    after_bytes: int
    pause_s: float


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """One connection of a client and the calls it makes over it."""

    begins_s: float
    latency_s: float
    asks: tuple[Ask, ...]
    pipelined: bool
    leave: Leave | None
    slow: Slow | None
    lingers_s: float


class StoreFault(msgspec.Struct, frozen=True):
    """A time, in seconds since the process began, in which the store does not do what it should."""

    kind: StoreTrouble
    from_s: float
    until_s: float


class JournalFault(msgspec.Struct, frozen=True):
    """A time in which the journal's files do not take what they should."""

    kind: JournalTrouble
    from_s: float
    until_s: float


class Death(msgspec.Struct, frozen=True):
    """Where the process dies: at a time, or at the `count`-th write to the journal, batch for the store or lease."""

    at: DiesAt
    after_s: float
    count: int


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """One process: who calls it, what breaks, and how it ends; without `death` in order, `drain_s` after the signal."""

    clients: tuple[Client, ...]
    connecting: tuple[tuple[int, Connecting], ...]
    store_faults: tuple[StoreFault, ...]
    journal_faults: tuple[JournalFault, ...]
    clock_steps: tuple[tuple[float, float], ...]
    stops_s: float | None
    drain_s: float
    death: Death | None


class BudgetPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A budget: of all calls together, of the key, or of each call's task."""

    scope: Literal["all", "key", "task"]
    limit_nanousd: int
    period: Literal["total", "hour", "day"]
    hard: bool
    wait_s: int


class ExpiryPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Lines that are kept for `kept_days`; so many days pass before each process, and before the last look."""

    kept_days: int
    days_before: tuple[int, ...]
    journals_return: bool
    """Before the last look the journals of the dead are there again."""


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one seed decides."""

    seed: int
    troubles: tuple[Trouble, ...]
    store: Literal["memory", "sqlite"]
    max_connections: int
    provider_latency_s: float
    offload_s: float
    lives: tuple[Life, ...]
    budgets: tuple[BudgetPlan, ...] = ()
    expiry: ExpiryPlan | None = None
    routers: bool = False
    """Whether some of the calls name a router."""

    @property
    def asks(self) -> int:
        """How many calls are made at most."""
        return sum(len(client.asks) for life in self.lives for client in life.clients)


def draw(seed: int) -> Schedule:
    """Return the schedule of a seed."""
    random = Random(seed)
    troubles = tuple(one for one in TROUBLES if random.random() < 0.35)
    calls = random.randint(5, 20)
    lives: list[Life] = []
    made = 0
    for last in [False] * random.choice((0, 0, 1, 1, 2)) + [True]:
        share = calls - made if last else random.randint(1, max(1, (calls - made) // 2))
        lives.append(_life(random, troubles, range(made, made + share), last=last))
        made += share
    return Schedule(
        seed=seed,
        troubles=troubles,
        store="sqlite" if random.random() < 0.15 else "memory",
        max_connections=random.choice((1, 2, 4, 64)),
        provider_latency_s=random.choice((0.0005, 0.02, 0.15)),
        offload_s=random.choice((0.0001, 0.002, 0.03)),
        lives=tuple(lives),
    )


def _life(random: Random, troubles: tuple[Trouble, ...], numbers: range, *, last: bool) -> Life:
    clients: list[Client] = []
    left = list(numbers)
    spread_s = random.choice((0.05, 2.0, 20.0))
    while left:
        count = min(len(left), random.choice((1, 1, 1, 2, 4)))
        asks = tuple(_ask(random, troubles, number) for number in left[:count])
        del left[:count]
        clients.append(_client(random, troubles, asks, spread_s))
    span_s = spread_s + 10.0
    return Life(
        clients=tuple(clients),
        connecting=_connecting(random, len(numbers)) if "connecting" in troubles else (),
        store_faults=_store_faults(random, span_s) if "store" in troubles else (),
        journal_faults=_journal_faults(random, span_s) if "journal" in troubles else (),
        clock_steps=_clock_steps(random, span_s) if "clock" in troubles else (),
        stops_s=random.uniform(0.0, span_s) if random.random() < 0.25 else None,
        drain_s=random.choice((0.5, 5.0, 30.0)),
        death=None if last or random.random() < 0.25 else _death(random, span_s, len(numbers)),
    )


def _client(random: Random, troubles: tuple[Trouble, ...], asks: tuple[Ask, ...], spread_s: float) -> Client:
    leave, slow = None, None
    if "leaving" in troubles and random.random() < 0.5:
        leave = Leave(
            random.choice(("sending", "waiting", "reading")),
            random.choice((0.0, random.uniform(0, 0.1), random.uniform(0, 8))),
            random.randint(1, 2_500),
            random.random() < 0.5,
        )
    if "slow_clients" in troubles and random.random() < 0.6:
        slow = Slow(random.randint(0, 1_500), random.choice((0.2, 3.0, 25.0)))
    return Client(
        begins_s=random.uniform(0, spread_s),
        latency_s=random.choice((0.0001, 0.01, 0.08)),
        asks=asks,
        pipelined=len(asks) > 1 and random.random() < 0.5,
        leave=leave,
        slow=slow,
        lingers_s=random.choice((0.0, 0.0, 1.0)),
    )


def _ask(random: Random, troubles: tuple[Trouble, ...], number: int) -> Ask:
    operation = random.choice(_OPERATIONS)
    return Ask(
        number=number,
        operation=operation,
        streamed=operation in STREAMED and (operation == "generate_array" or random.random() < 0.7),
        model="unknown" if random.random() < 0.02 else random.choice(_MODELS),
        asks_for_usage=random.random() < 0.4,
        prompt_words=random.choice((3, 40, 400)),
        pieces=random.choice((1, 1, 2, 5)),
        piece_gap_s=random.choice((0.0, 0.01, 0.4)),
        answer=draw_answer(random, troubles, operation),
    )


def draw_answer(random: Random, troubles: tuple[Trouble, ...], operation: Operation) -> Answer:
    """Return what a provider answers to a call."""
    parts = 0 if operation in SILENT | FREE else random.choice((0, 1, 3, 8, 20))
    pace_s = random.choice((0.0, 0.02, 0.3, 0.8, 1.2))
    words = tuple(60_000 if random.random() < 0.001 else random.choice((1, 3, 3, 12, 120)) for _ in range(parts))
    status = 200
    body: Body = "answer"
    if "errors" in troubles and random.random() < 0.4:
        status = random.choice((200, 200, 302, 400, 429, 500, 504, 529))
        body = random.choice(("error_inside", "error_inside", "garbage", "empty")) if status == 200 else "answer"
    slow_head = random.random() < 0.08
    return Answer(
        status=status,
        body=body,
        head_delay_s=random.uniform(8, 40) if slow_head else random.choice((0.0, 0.01, 0.5)),
        words=words,
        gaps_s=tuple(12.0 if random.random() < 0.01 else pace_s * random.random() * 2 for _ in words),
        usage=random.choice(("missing", "zero", "negative", "disagrees", "reported"))
        if "odd_usage" in troubles
        else "reported",
        input_tokens=random.randint(1_000, 9_000),
        output_tokens=random.randint(1_000, 9_000),
        cached_tokens=random.choice((0, 0, random.randint(1, 900))),
        framing=random.choice(("chunked", "chunked", "length", "close")),
        interim=random.random() < 0.05,
        segments=random.choice((1, 1, 1, 2, 3)),
        at_once=random.random() < 0.15,
        cut=_cut(random, parts) if "cuts" in troubles and random.random() < 0.5 else None,
        keeps_open_s=random.choice((0.0, 0.3, 4.0, 100.0)),
    )


def _cut(random: Random, parts: int) -> Cut:
    return Cut(
        random.choice(("request", "head", "part", "part", "part")),
        random.choice(("reset", "goodbye", "stall")),
        random.randint(0, parts + 4),
        random.random() < 0.3,
    )


def _connecting(random: Random, calls: int) -> tuple[tuple[int, Connecting], ...]:
    kinds: tuple[Connecting, ...] = ("refused", "never", "closed_at_once", "slow")
    return tuple((number, random.choice(kinds)) for number in range(calls) if random.random() < 0.4)


def _span(random: Random, span_s: float) -> tuple[float, float]:
    begins_s = random.choice((0.0, random.uniform(0, span_s)))
    return begins_s, begins_s + random.choice((0.1, 2.0, 15.0))


def _store_faults(random: Random, span_s: float) -> tuple[StoreFault, ...]:
    kinds: tuple[StoreTrouble, ...] = ("away", "slow", "reply_lost", "refuses")
    return tuple(StoreFault(random.choice(kinds), *_span(random, span_s)) for _ in range(random.randint(1, 3)))


def _journal_faults(random: Random, span_s: float) -> tuple[JournalFault, ...]:
    kinds: tuple[JournalTrouble, ...] = ("full", "torn", "torn_for_good", "no_new_file")
    return tuple(JournalFault(random.choice(kinds), *_span(random, span_s)) for _ in range(random.randint(1, 3)))


def _clock_steps(random: Random, span_s: float) -> tuple[tuple[float, float], ...]:
    return tuple(
        (random.uniform(0, span_s), random.choice((-1, 1)) * random.choice((0.4, 5.0, 7_200.0)))
        for _ in range(random.randint(1, 3))
    )


def _death(random: Random, span_s: float, calls: int) -> Death:
    kinds: tuple[DiesAt, ...] = ("time", "before_write", "in_write", "after_write", "before_append", "after_append")
    at = random.choice((*kinds, "time", "time"))
    most = max(1, calls) if at.endswith("append") else 3 * calls
    return Death(at, random.uniform(0, span_s), random.randint(1, most))
