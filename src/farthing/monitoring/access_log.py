"""One line for each try upstream: what it was, what it used and cost, how long it took.

No text of a prompt or an answer is in it, no key but the name of one, and nothing that a client may write as it likes
but the name of a model. A provider's code for an error is text of its own making, and some quote the prompt there, so
only what has the shape of a name is told. The line is made by the thread that writes it, from the attempt that the
ledger has as well.
"""

import re
from collections.abc import Callable, Sequence

import msgspec

from farthing.monitoring.logs import Line, LogFormat, hidden, plain, plain_json, utc
from farthing.types.calls import Attempt

NAME = "farthing.access"
MAX_NAME = 200
"""Characters of a model's name in a line; the longest listed name has 94."""

UNTOLD = "other"
"""What is told of an error whose code is no name; the ledger has it as it came."""
_CODE = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
"""The longest code of a provider that we know has 45 characters."""


class AccessLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is told of an attempt; what is not there is unknown, or does not apply."""

    at: str
    level: str
    logger: str
    call: str
    attempt: int
    key: str
    face: str
    operation: str
    provider: str
    model: str
    outcome: str
    cost_basis: str
    duration_ms: float
    status: int | None = None
    error: str | None = None
    streamed: bool = False
    first_output_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int = 0
    cost_nanousd: int | None = None


class AccessLog:
    """Reads the news of finished calls."""

    def __init__(self, put: Callable[[Line], None]) -> None:
        """`put` takes lines and waits for nothing."""
        self._put = put

    def add(self, attempts: Sequence[Attempt]) -> None:
        """Have a line written for each."""
        for attempt in attempts:
            self._put(lambda form, attempt=attempt: access_line(form, attempt))  # type: ignore[misc]  # bound as default


def access_line(form: LogFormat, attempt: Attempt) -> str:
    """Return the entry of an attempt, with the end of its line."""
    opening, usage = attempt.opening, attempt.usage
    told = AccessLine(
        at=utc(attempt.ended_at_us / 1_000_000),
        level="info",
        logger=NAME,
        call=opening.call_id,
        attempt=opening.ordinal,
        key=opening.attribution.key_name or opening.attribution.key_id,
        face=opening.face,
        operation=opening.operation,
        provider=opening.provider,
        model=opening.model[:MAX_NAME],
        outcome=attempt.outcome,
        cost_basis=attempt.cost_basis,
        duration_ms=_ms(attempt.ended_at_us - opening.started_at_us),
        status=attempt.http_status,
        error=_code(attempt.error_code),
        streamed=opening.streamed,
        first_output_ms=None if attempt.first_output_us is None else _ms(attempt.first_output_us),
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_input_tokens=usage.cache_read_input_tokens,
        cost_nanousd=attempt.cost_nanousd,
    )
    if form == "json":
        return hidden(plain_json(msgspec.json.encode(told).decode())) + "\n"
    fields = msgspec.to_builtins(told)
    head = f"{fields.pop('at')} {fields.pop('level').upper()} {fields.pop('logger')}:"
    return hidden(f"{head} {' '.join(f'{name}={_word(value)}' for name, value in fields.items())}\n")


def _code(code: str | None) -> str | None:
    return code if code is None or _CODE.fullmatch(code) else UNTOLD


def _ms(duration_us: int) -> float:
    return duration_us / 1000


def _word(value: object) -> str:
    """Return a value as one word, in quotes where it would be several."""
    text = plain(str(value))
    return msgspec.json.encode(text).decode() if not text or set(text) & set(" =\"'\\") else text
