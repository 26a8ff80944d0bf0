"""An answer from the events of its stream, and the events of a stream from an answer.

Both ways are needed: a provider may send JSON where a stream was asked for, or events where none was; and that a stream
tells what the whole answer would have told is a property that every pair of formats has.
"""

from collections.abc import Iterable, Iterator

import msgspec

from farthing.types.chat import (
    ChatAnswer,
    Choice,
    Closed,
    Finished,
    FinishReason,
    Opened,
    Part,
    PartBegan,
    PartEnded,
    PartGrew,
    Refusal,
    StreamEvent,
    Text,
    Thinking,
    ToolCall,
)
from farthing.types.usage import Usage


class _Growing:
    __slots__ = ("logprobs", "parts", "reason", "stop_sequence")

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.reason: FinishReason | None = None
        self.stop_sequence: str | None = None
        self.logprobs: list[bytes] = []


def answer_of(events: Iterable[StreamEvent]) -> ChatAnswer:
    """Return the answer that a stream's events build."""
    opened = Opened()
    growing: dict[int, _Growing] = {}
    for event in events:
        match event:
            case Opened():
                opened = event
            case PartEnded():
                growing.setdefault(event.choice, _Growing()).parts.append(event.part)
            case PartGrew():
                if event.logprobs is not None:
                    growing.setdefault(event.choice, _Growing()).logprobs.append(event.logprobs)
            case Finished():
                choice = growing.setdefault(event.choice, _Growing())
                choice.reason, choice.stop_sequence = event.reason, event.stop_sequence
            case PartBegan() | Closed():
                pass
    return ChatAnswer(
        id=opened.id,
        model=opened.model,
        choices=tuple(
            Choice(
                content=tuple(choice.parts),
                finish_reason=choice.reason,
                index=index,
                stop_sequence=choice.stop_sequence,
                logprobs=_joined(choice.logprobs),
            )
            for index, choice in sorted(growing.items())
        ),
    )


def events_of(answer: ChatAnswer, usage: Usage | None) -> Iterator[StreamEvent]:
    """Yield the events of a stream that tells this answer."""
    yield Opened(answer.id, answer.model)
    for choice in answer.choices:
        for index, part in enumerate(choice.content):
            text = text_of(part)
            yield PartBegan(index, begun(part), choice.index)
            logprobs = choice.logprobs if isinstance(part, Text) and index == _first_text(choice) else None
            if text or logprobs is not None:
                yield PartGrew(index, text, choice.index, logprobs)
            yield PartEnded(index, part, choice.index)
        if choice.finish_reason is not None:
            yield Finished(choice.finish_reason, choice.index, choice.stop_sequence)
    yield Closed(usage)


def text_of(part: Part) -> str:
    """Return what grows in a part: text, thinking or arguments; empty for what comes whole."""
    match part:
        case Text() | Thinking() | Refusal():
            return part.text
        case ToolCall():
            return part.arguments
        case _:
            return ""


def begun(part: Part) -> Part:
    """Return a part as it is when it begins: without what grows, and without what is known at its end."""
    match part:
        case Text():
            return Text("")
        case Thinking():
            return part if part.redacted else Thinking("", id=part.id)
        case Refusal():
            return Refusal("")
        case ToolCall():
            return msgspec.structs.replace(part, arguments="", signature=None)
        case _:
            return part


def _first_text(choice: Choice) -> int:
    return next(at for at, part in enumerate(choice.content) if isinstance(part, Text))


def _joined(lists: list[bytes]) -> bytes | None:
    """Return one JSON list of several."""
    if not lists:
        return None
    inner = [piece.strip()[1:-1].strip() for piece in lists]
    return b"[%b]" % b",".join(piece for piece in inner if piece)
