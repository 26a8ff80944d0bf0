"""Read and write streams of chunks.

What surprised us: the first chunk may be about something else (Azure's filter, without id or model); several choices
come interleaved; Perplexity repeats with every chunk what it searched, beside a whole message; a stream may end without
a finish (OpenAI's sound), or have text behind it (Baseten's), so that a choice is only told to be whole at the end.
"""

from typing import Any

from farthing.types.chat import Citation, Opened, StreamEvent
from farthing.wire.sse import EventSplitter, event_data
from farthing.wire.translators.openai_chat.reading_choices import MAX_CITED, ChoiceReader
from farthing.wire.translators.openai_chat.thinking import WIRE
from farthing.wire.translators.protocol import NewId
from farthing.wire.translators.reading import answer_members, as_json

MAX_CHOICES = 128
"""What OpenAI allows as `n`; choices beyond it are nobody's."""


class ChunkReader:
    """Reads chunks, or a whole answer; `where` is the member that holds what a choice says."""

    __slots__ = ("_choices", "_events", "_new_id", "_opened", "_searched", "_where")

    def __init__(self, new_id: NewId, where: str) -> None:
        self._events: list[StreamEvent] = []
        self._choices: dict[int, ChoiceReader] = {}
        self._new_id = new_id
        self._opened = False
        self._searched: dict[str, Any] | None = None
        self._where = where

    def take(self, chunk: dict[str, Any]) -> list[StreamEvent]:
        """Return what a chunk says."""
        choices = chunk.get("choices")
        if not self._opened:
            self._open(chunk, choices)
        if "citations" in chunk or "search_results" in chunk:
            self._searched = chunk
        if choices and isinstance(choices, list):
            for choice in choices:
                if isinstance(choice, dict):
                    self._take(choice)
        return self._handed()

    def rest(self) -> list[StreamEvent]:
        """Return what is owed at the end."""
        for choice in self._choices.values():
            choice.finish(self._cited())
        return self._handed()

    def _handed(self) -> list[StreamEvent]:
        events = self._events[:]
        self._events.clear()  # every choice adds to this very list
        return events

    def _open(self, chunk: dict[str, Any], choices: object) -> None:
        found, model = chunk.get("id"), chunk.get("model")
        found = found if found and isinstance(found, str) else None
        model = model if model and isinstance(model, str) else None
        if found is not None or model is not None or choices:
            self._opened = True
            self._events.append(Opened(found, model))

    def _take(self, choice: dict[str, Any]) -> None:
        index = choice.get("index")
        if not isinstance(index, int) or not 0 <= index < MAX_CHOICES:
            index = 0
        reader = self._choices.get(index)
        if reader is None:
            reader = self._choices[index] = ChoiceReader(self._events, index, self._new_id)
        said = choice.get(self._where)
        if isinstance(said, dict):
            logprobs = choice.get("logprobs")
            reader.take(said, None if logprobs is None else listed_logprobs(logprobs))
        reason = choice.get("finish_reason")
        if reason:  # some servers send "" with every chunk
            reader.reason = reason

    def _cited(self) -> list[Citation]:
        """Return what Perplexity says that it has searched: whole results, or addresses alone."""
        searched, self._searched = self._searched, None
        if searched is None:
            return []
        results, addresses = searched.get("search_results"), searched.get("citations")
        found = results if results and isinstance(results, list) else addresses
        if not isinstance(found, list):
            return []
        return [citation for result in found[:MAX_CITED] if (citation := _searched_page(result)) is not None]


class ChatStreamDecoder:
    """See `StreamDecoder`."""

    __slots__ = ("_chunks", "_splitter")

    def __init__(self, new_id: NewId) -> None:
        self._chunks = ChunkReader(new_id, "delta")
        self._splitter = EventSplitter()

    def feed(self, data: bytes) -> list[StreamEvent]:
        """See `StreamDecoder.feed`."""
        events = self._splitter.feed(data)
        if len(events) == 1:
            return self._event(events[0])
        told: list[StreamEvent] = []
        for event in events:
            told.extend(self._event(event))
        return told

    def rest(self) -> list[StreamEvent]:
        """See `StreamDecoder.rest`."""
        last = self._splitter.rest()
        return [*(self._event(last) if last else ()), *self._chunks.rest()]

    def _event(self, event: bytes) -> list[StreamEvent]:
        data = event_data(event)
        if data == b"[DONE]":
            return self._chunks.rest()
        return self._chunks.take(answer_members(data)) if data else []


def listed_logprobs(logprobs: object) -> bytes | None:
    """Return log probabilities as OpenAI lists them; the legacy shape has a list for each member of a token."""
    if not isinstance(logprobs, dict):
        return None
    listed = logprobs.get("content")
    if listed and isinstance(listed, list):
        return as_json(listed)
    tokens, values, most = (logprobs.get(name) for name in ("tokens", "token_logprobs", "top_logprobs"))
    if not (tokens and isinstance(tokens, list) and isinstance(values, list)):
        return None
    most = most if isinstance(most, list) else []
    tops = [top if isinstance(top, dict) else {} for top in most] + [{}] * (len(tokens) - len(most))
    return as_json(
        [
            {**_token(token, value), "top_logprobs": [_token(*pair) for pair in top.items() if _is_number(pair[1])]}
            for token, value, top in zip(tokens, values, tops, strict=False)
            if isinstance(token, str) and _is_number(value)
        ]
    )


def _token(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": None}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _searched_page(result: object) -> Citation | None:
    if isinstance(result, str):
        return Citation(WIRE, as_json(result), url=result)
    if not isinstance(result, dict):
        return None
    url, title = result.get("url"), result.get("title")
    return Citation(
        WIRE,
        as_json(result),
        url if isinstance(url, str) else None,
        title if isinstance(title, str) else None,
    )
