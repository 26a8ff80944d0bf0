"""What a wire format must know so that a fake can speak it. Formats are pure: they turn jobs into bytes.

Time, faults, the account and the connection are the fake provider's; a stream is an iterator of events that say how
many tokens each of them carries, so that whoever sends them knows at every moment what has been produced.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from farthing.testing.fakes.account import Tariff
from farthing.testing.fakes.author import Answer, Wanted
from farthing.testing.fakes.prompt_cache import Block, Cached, PromptCache
from farthing.testing.fakes.script import Fault
from farthing.types.usage import Usage

Operation = Literal["answer", "count_tokens", "models"]

Refused = Fault | Literal["bad_request", "model_not_found", "no_such_path"]


class BadRequest(Exception):
    """The request makes no sense in this format; the text says why."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the format understood it."""

    model: str
    streamed: bool
    wanted: Wanted
    blocks: tuple[Block, ...]
    include_usage: bool = False
    logprobs: bool = False

    @property
    def input_tokens(self) -> int:
        """What the model reads, cached or not."""
        return sum(block.tokens for block in self.blocks)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that an answer's bytes are made of. `usage` is what the whole answer amounts to."""

    request_id: str
    asked: Asked
    model_served: str
    answer: Answer
    usage: Usage
    tariff: Tariff | None
    created_s: int
    dice: random.Random


class Event(msgspec.Struct, frozen=True):
    """A piece of a stream, and how many output tokens it carries. Hidden reasoning is an event without bytes."""

    data: bytes
    tokens: int = 0
    reasoning_tokens: int = 0
    tells_usage: bool = False


class Refusal(msgspec.Struct, frozen=True):
    """An error in the shape of the format."""

    status: int
    body: bytes
    headers: dict[str, str]


class WireFormat(Protocol):
    """One provider's way of speaking."""

    @property
    def name(self) -> str:
        """The name under which `--format` finds it."""
        ...

    @property
    def request_id_header(self) -> str:
        """The header in which the provider names its request id."""
        ...

    def operation(self, method: str, path: str) -> Operation | None:
        """Return what a request wants; `None` where the provider has no such path."""
        ...

    def credential(self, headers: Mapping[str, str]) -> str | None:
        """Return the key that a request carries."""
        ...

    def read(self, body: Any, path: str) -> Asked:
        """Return what a decoded body asks for, at a path that may name the model; raises `BadRequest`."""
        ...

    def served_as(self, model: str) -> str:
        """Return the name under which the provider answers for a model."""
        ...

    def consume(self, cache: PromptCache, model: str, asked: Asked) -> Cached:
        """Take the prompt through the provider's cache."""
        ...

    def new_request_id(self, dice: random.Random) -> str:
        """Return an id that looks like the provider's."""
        ...

    def headers(self, request_id: str, *, streamed: bool) -> dict[str, str]:
        """Return the headers of a good answer."""
        ...

    def stream(self, job: Job) -> Iterator[Event]:
        """Return the events of a streamed answer, in order."""
        ...

    def whole(self, job: Job) -> bytes:
        """Return the body of an answer that is not streamed."""
        ...

    def error_event(self, job: Job) -> bytes:
        """Return how the provider says within a stream that it failed."""
        ...

    def refusal(self, why: Refused, request_id: str, *, retry_after_s: int = 1, message: str = "") -> Refusal:
        """Return the provider's error."""
        ...

    def models(self, names: Sequence[str]) -> bytes:
        """Return the body of the list of models."""
        ...

    def token_count(self, asked: Asked) -> bytes:
        """Return the body of a count of tokens."""
        ...


_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def random_text(dice: random.Random, characters: int) -> str:
    """Return letters and digits."""
    return "".join(dice.choices(_ALPHABET, k=characters))


def html_page() -> Refusal:
    """Return what a proxy in front of a provider says when there is no provider behind it."""
    page = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\r\n"
    return Refusal(502, page, {"content-type": "text/html"})
