"""What a fake does with a request: how much it says, how fast, and what goes wrong.

A test puts a `Reply` into the fake's queue for the next request; without one, the fake's `Script` makes one up from its
seed and the request alone, so that the same requests get the same answers in whatever order they come.
"""

import random
from collections.abc import Mapping
from typing import Literal

import msgspec

Fault = Literal[
    "unauthorized",  # 401
    "rate_limited",  # 429 with retry-after
    "quota_exhausted",  # 429 that does not pass by waiting
    "server_error",  # 500
    "overloaded",  # 529 or 503, whatever the format uses
    "html",  # 502 with a page of a proxy in between
    "hang_up",  # the connection ends before any byte
    "error_in_answer",  # an error after part of a 200 answer
    "cut",  # the connection ends after part of the answer
    "stall",  # nothing more comes after part of the answer, and the connection stays
]

BEFORE_ANSWER: frozenset[Fault] = frozenset(
    ("unauthorized", "rate_limited", "quota_exhausted", "server_error", "overloaded", "html", "hang_up")
)
"""Faults that nobody is billed for."""


class ToolCall(msgspec.Struct, frozen=True):
    """A call of a tool: its name, and its arguments as JSON text."""

    name: str
    arguments: str


class Reply(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do with one request. `None` leaves the choice to the seed; with `text` it is that text that is said.

    A token is a short word or a piece of JSON. `fault_after_tokens` is how much of the answer still comes out when the
    fault is one in the middle; half of it by default.
    """

    tokens: int | None = None
    text: str | None = None
    reasoning_tokens: int | None = None
    tools: tuple[ToolCall, ...] | None = None
    fault: Fault | None = None
    fault_after_tokens: int | None = None
    retry_after_s: int = 1
    first_output_delay_s: float = 0.0
    token_delay_s: float = 0.0


class Script:
    """Makes up replies: how likely each fault is, and how fast and how long answers are."""

    def __init__(
        self,
        seed: int = 0,
        *,
        faults: Mapping[Fault, float] | None = None,
        first_output_delay_s: float = 0.0,
        token_delay_s: float = 0.0,
        tokens: tuple[int, int] = (5, 60),
    ) -> None:
        self.seed = seed
        self._faults = dict(faults or {})
        self._first_output_delay_s = first_output_delay_s
        self._token_delay_s = token_delay_s
        self._tokens = tokens
        if (total := sum(self._faults.values())) > 1:
            raise ValueError(f"The probabilities of faults add up to {total}; at most 1 makes sense.")

    def reply(self, dice: random.Random) -> Reply:
        """Return what to do with the request that `dice` was seeded from."""
        fault: Fault | None = None
        roll = dice.random()
        for name, probability in self._faults.items():
            roll -= probability
            if roll < 0:
                fault = name
                break
        return Reply(
            tokens=dice.randint(*self._tokens),
            fault=fault,
            first_output_delay_s=self._first_output_delay_s * dice.uniform(0.5, 1.5),
            token_delay_s=self._token_delay_s * dice.uniform(0.5, 1.5),
        )
