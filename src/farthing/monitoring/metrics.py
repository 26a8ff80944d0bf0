"""Counts of what was called: attempts, tokens, money, times, by provider and model.

Labels are named as OpenTelemetry's conventions for generative AI name them, with the dots made underscores. Counters
begin with the process; the ledger is what knows of all time. An attempt that a crash left is not counted: the process
that made it is gone, and its counters with it.

All counters of an attempt stand in one cell, and each family shows the cell's own labels: so an attempt costs one
look-up, and what a scrape writes was put together when the cell was made.
"""

from collections.abc import Iterator, Sequence

from msgspec.structs import astuple

from farthing.monitoring.exposition import Family, Histogram, labels_text
from farthing.types.calls import Attempt, CostBasis, Outcome
from farthing.types.usage import Usage

MAX_CELLS = 300
"""Combinations of provider, model, outcome and cost's basis with counters of their own. A house has a few dozen; a
client that makes names up ends in `(others)`, and a scrape stays below 2,000 lines and 1 ms."""
OTHERS = "(others)"
MAX_NAME = 200
"""Characters of a model's name in a label; the longest listed name has 94, and what is longer ends in `(others)`."""

DURATION_BOUNDS_US = tuple(10_000 * 2**power for power in range(17))
"""10 ms, doubled up to 655 s: what OpenTelemetry advises for `gen_ai.client.operation.duration`, and three steps more,
because reasoning models think for minutes."""
FIRST_OUTPUT_BOUNDS_US = tuple(
    round(seconds * 1_000_000)
    for seconds in (
        *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
        *(30.0, 60.0, 120.0),
    )
)
"""What it advises for `gen_ai.server.time_to_first_token`, and the minutes that local models load."""

_RARER_PARTS: tuple[tuple[str, str], ...] = (
    ("cache_creation_5m_input_tokens", "cache_creation_5m"),
    ("cache_creation_1h_input_tokens", "cache_creation_1h"),
    ("input_audio_tokens", "input_audio"),
    ("output_audio_tokens", "output_audio"),
    ("input_image_tokens", "input_image"),
    ("output_image_tokens", "output_image"),
)
_CellKey = tuple[str, str, Outcome, CostBasis]


class CallMetrics:
    """Reads the news of finished calls; `families` tells the sums."""

    def __init__(self) -> None:
        self._cells: dict[_CellKey, _Cell] = {}
        self._times: dict[str, _Times] = {}

    def add(self, attempts: Sequence[Attempt]) -> None:
        """Count some attempts. Every call passes here (0.4 us), so it is written out."""
        found, seen, cell = self._cells.get, None, None
        for attempt in attempts:
            opening, usage, cost = attempt.opening, attempt.usage, attempt.cost_nanousd
            key = (opening.provider, opening.model, attempt.outcome, attempt.cost_basis)
            if cell is None or key != seen:  # most are like the one before
                seen, cell = key, found(key) or self._new(key)
            cell.attempts += 1
            if cost:
                cell.nanousd += cost
            read, written, *parts, _ = astuple(usage)
            if read is None or written is None:
                cell.unknown_usage += 1
                read, written = read or 0, written or 0
            cell.input_tokens += read
            cell.output_tokens += written
            if any(parts):
                cell.add_parts(usage)
            cell.took(attempt.ended_at_us - opening.started_at_us)
            if attempt.first_output_us is not None:
                cell.waited(attempt.first_output_us)
        for times in self._times.values():
            times.sort_in()

    def families(self) -> Iterator[Family]:
        """Yield what was counted."""
        cells = [*self._cells.values()]
        yield Family(
            "farthing_attempts_total",
            "counter",
            "Tries upstream that have ended.",
            [("", cell.plain, cell.attempts) for cell in cells],
        )
        yield Family(
            "farthing_tokens_total",
            "counter",
            "Tokens read (input) and written (output), cached and reasoning ones included.",
            [
                sample
                for cell in cells
                for sample in (("", cell.input, cell.input_tokens), ("", cell.output, cell.output_tokens))
            ],
        )
        yield Family(
            "farthing_token_parts_total",
            "counter",
            "Of the tokens in farthing_tokens_total, those of a kind of their own.",
            [("", labels, count) for cell in cells for labels, count in cell.parts()],
        )
        yield Family(
            "farthing_cost_nanodollars_total",
            "counter",
            "What attempts of known cost have cost, in billionths of a US dollar.",
            [("", cell.plain, cell.nanousd) for cell in cells if cell.cost_is_known],
        )
        yield Family(
            "farthing_unknown_usage_attempts_total",
            "counter",
            "Attempts that the tokens leave out, because a count is unknown.",
            [("", cell.plain, cell.unknown_usage) for cell in cells if cell.unknown_usage],
        )
        yield Family(
            "farthing_attempt_duration_seconds",
            "histogram",
            "From the beginning of a try upstream to its end.",
            [sample for times in self._times.values() for sample in times.duration.samples()],
        )
        yield Family(
            "farthing_time_to_first_output_seconds",
            "histogram",
            "From the beginning of a try upstream to its first content.",
            [sample for times in self._times.values() for sample in times.first_output.samples()],
        )

    def _new(self, key: _CellKey) -> "_Cell":
        provider, model, outcome, basis = key
        if len(self._cells) >= MAX_CELLS or len(model) > MAX_NAME:
            # Providers are named in the settings: this adds some cells for each of them, however many models there are.
            key = (provider, OTHERS, outcome, basis)
            if key in self._cells:
                return self._cells[key]
        times = self._times.get(provider)
        if times is None:
            times = self._times[provider] = _Times(provider)
        cell = self._cells[key] = _Cell(key, times)
        return cell


class _Times:
    """How long one provider takes; by model it would be 42 lines for each of hundreds."""

    __slots__ = ("_new_durations", "_new_first_outputs", "duration", "first_output", "took", "waited")

    def __init__(self, provider: str) -> None:
        labels = {"gen_ai_provider_name": provider}
        self.duration = Histogram(DURATION_BOUNDS_US, labels)
        self.first_output = Histogram(FIRST_OUTPUT_BOUNDS_US, labels)
        self._new_durations: list[int] = []
        self._new_first_outputs: list[int] = []
        self.took = self._new_durations.append
        self.waited = self._new_first_outputs.append

    def sort_in(self) -> None:
        """Count a batch's times; sorted together they cost a third of what they do one by one."""
        self.duration.add(self._new_durations)
        self.first_output.add(self._new_first_outputs)


class _Cell:
    """Counters of what has all four labels in common."""

    __slots__ = (
        "_labels",
        "_part_labels",
        "_rarer",
        "attempts",
        "cache_read",
        "cost_is_known",
        "input",
        "input_tokens",
        "nanousd",
        "output",
        "output_tokens",
        "plain",
        "reasoning",
        "took",
        "unknown_usage",
        "waited",
    )

    def __init__(self, key: _CellKey, times: _Times) -> None:
        provider, model, outcome, basis = key
        self._labels = {
            "gen_ai_provider_name": provider,
            "gen_ai_request_model": model,
            "outcome": outcome,
            "cost_basis": basis,
        }
        self.plain = labels_text(self._labels)
        self.input = labels_text({**self._labels, "gen_ai_token_type": "input"})
        self.output = labels_text({**self._labels, "gen_ai_token_type": "output"})
        self.cost_is_known = basis != "unknown"
        self.took, self.waited = times.took, times.waited
        self.attempts = self.nanousd = self.input_tokens = self.output_tokens = self.unknown_usage = 0
        self.cache_read = self.reasoning = 0
        self._part_labels: dict[str, str] = {}
        self._rarer: dict[str, int] = {}

    def add_parts(self, usage: Usage) -> None:
        """Count the parts of the totals."""
        self.cache_read += usage.cache_read_input_tokens
        self.reasoning += usage.reasoning_output_tokens
        for field, kind in _RARER_PARTS:
            count = getattr(usage, field)
            if count:
                self._rarer[kind] = self._rarer.get(kind, 0) + count

    def parts(self) -> Iterator[tuple[str, int]]:
        """Yield labels and count of each part that there was."""
        for kind, count in (("cache_read", self.cache_read), ("reasoning", self.reasoning), *self._rarer.items()):
            if count:
                labels = self._part_labels.get(kind)
                if labels is None:
                    labels = self._part_labels[kind] = labels_text({**self._labels, "kind": kind})
                yield labels, count
