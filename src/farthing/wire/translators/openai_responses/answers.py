"""Read a whole response, and write one.

What surprised us: nothing in the status says that tools are to be called, the calls do; and a refusal is `completed`
like everything else that is well.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from farthing.types.chat import ChatAnswer, Choice, FinishReason, Foreign, Image, Inline, Part, Refusal, Text, Thinking
from farthing.types.chat import ToolCall as Call
from farthing.types.usage import Usage
from farthing.wire.translators.openai_responses import items
from farthing.wire.translators.openai_responses.response_object import ResponseObject, failure, status_of
from farthing.wire.translators.openai_responses.tools import WIRE
from farthing.wire.translators.protocol import Asked, NewId
from farthing.wire.translators.reading import answer_members

_encode = msgspec.json.encode
FAILED = "the provider ended the answer with an error"


def read_answer(body: bytes, new_id: NewId) -> ChatAnswer:
    """See `Translator.read_answer`."""
    response = answer_members(body)
    parts: list[Part] = []
    logprobs: list[Any] = []
    output = response.get("output")
    for item in output if isinstance(output, list) else ():
        if isinstance(item, dict):
            parts.extend(items.read_item(item, new_id))
            logprobs.extend(items.read_logprobs(item))
    created, tier = response.get("created_at"), response.get("service_tier")
    choice = Choice(
        tuple(parts),
        finish_reason(response, parts),
        logprobs=items.json_or_none(logprobs) if logprobs else None,
    )
    return ChatAnswer(
        id=text_or_none(response.get("id")),
        model=text_or_none(response.get("model")),
        choices=(choice,),
        created_s=int(created) if isinstance(created, int | float) and 0 <= created < 1 << 53 else None,
        service_tier=text_or_none(tier),
    )


def finish_reason(response: dict[str, Any], parts: Iterable[Part]) -> FinishReason | None:
    """Return how a response ended; `None` where it has not ended."""
    status = response.get("status")
    if status == "incomplete":
        details = response.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        return "content_filter" if reason == "content_filter" else "length"
    if status in ("failed", "cancelled"):
        return "error"
    if status in ("in_progress", "queued"):
        return None
    reason_of_parts: FinishReason = "stop"
    for part in parts:
        if isinstance(part, Call):
            return "tool_calls"
        if isinstance(part, Refusal):
            reason_of_parts = "refusal"
    return reason_of_parts


def text_or_none(value: object) -> str | None:
    """Return a text that says something."""
    return value if value and isinstance(value, str) else None


def write_answer(answer: ChatAnswer, usage: Usage | None, asked: Asked) -> bytes:
    """See `Translator.write_answer`. The format has one answer: of several, the first is told."""
    choice = answer.choices[0] if answer.choices else Choice((), None)
    status, incomplete = ended_as(choice.finish_reason, choice.content)
    writer = ItemWriter(asked)
    output = writer.written(choice, "incomplete" if status == "incomplete" else "completed")
    error = failure("server_error", FAILED) if status == "failed" else None
    response = ResponseObject(asked, answer.model, answer.service_tier)
    return response.written(status, output, usage, incomplete=incomplete, error=error)


def ended_as(reason: FinishReason | None, parts: Iterable[Part]) -> tuple[str, str | None]:
    """Return the status of an answer, and why it is incomplete.

    A refusal that no part tells (Anthropic's) is told as filtered: `completed` would pass it off as an answer.
    """
    if reason == "refusal" and not any(isinstance(part, Refusal) for part in parts):
        return "incomplete", "content_filter"
    return status_of(reason)


class ItemWriter:
    """Writes the items of one answer, and gives them their ids."""

    __slots__ = ("_answer_id", "_count", "_sealed", "_thoughts")

    def __init__(self, asked: Asked) -> None:
        self._answer_id = asked.answer_id
        self._sealed = asked.request.seals_asked
        self._count = 0
        self._thoughts: set[str] = set()

    def new_id(self, prefix: str) -> str:
        """Return the id of the next item: the answer's, and a number."""
        self._count += 1
        return f"{prefix}_{self._answer_id}{self._count:02d}"

    def thinking_id(self, thinking: Thinking) -> str:
        """Return a thought's own id, once: xAI gives several the same, and OpenAI's SDK refuses that."""
        item_id = thinking.id
        if item_id is None or item_id in self._thoughts:
            return self.new_id("rs")
        self._thoughts.add(item_id)
        return item_id

    def thinking(self, item_id: str, thinking: Thinking) -> dict[str, Any]:
        """Return a thought as an item."""
        return items.thinking_item(item_id, thinking, sealed=self._sealed)

    def whole(self, part: Part) -> bytes | None:
        """Return the item of a part that comes whole; `None` where the format has none for it."""
        match part:
            case Foreign() if part.origin == WIRE:
                return part.raw
            case Image() if isinstance(part.source, Inline):
                return _encode(items.image_item(self.new_id("ig"), part.source))
            case _:
                return None

    def written(self, choice: Choice, last_status: str) -> list[bytes]:
        """Return all items of an answer; the last of them has its status."""
        output: list[bytes] = []
        said: list[dict[str, Any]] = []
        logprobs = None if choice.logprobs is None else items.whole_logprobs(choice.logprobs)
        for part in choice.content:
            if isinstance(part, Text):
                said.append(items.text_part(part, logprobs))
                logprobs = None
            elif isinstance(part, Refusal):
                said.append(items.refusal_part(part))
            elif (item := self._item(part)) is not None:
                output += self._message(said, "completed")
                said = []
                output.append(item)
        return output + self._message(said, last_status)

    def _message(self, said: list[dict[str, Any]], status: str) -> list[bytes]:
        return [_encode(items.message_item(self.new_id("msg"), status, said))] if said else []

    def _item(self, part: Part) -> bytes | None:
        match part:
            case Thinking():
                return _encode(self.thinking(self.thinking_id(part), part))
            case Call():
                item_id = self.new_id("ctc" if part.custom else "fc")
                return _encode(items.call_item(item_id, "completed", part, items.given_of(part)))
            case _:
                return self.whole(part)
