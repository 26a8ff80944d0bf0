"""Read and write legacy completions: one prompt, and no conversation.

Several prompts in one request are several calls, whose answers no other format can tell apart; tokens mean something
to one model only. Both are refused, with the way out. `best_of: 1` says nothing and is no loss.
"""

from typing import Any

import msgspec

from farthing.errors import InvalidRequest
from farthing.types.chat import ChatRequest, Message, Text
from farthing.types.providers import WireFormat
from farthing.wire.translators.openai_chat.requests import sampling
from farthing.wire.translators.openai_chat.vendors import fitting_name
from farthing.wire.translators.openai_chat.writing import add_sampling
from farthing.wire.translators.protocol import NewId
from farthing.wire.translators.reading import (
    Body,
    extras,
    flag_at,
    object_at,
    refuse,
    request_members,
    text_at,
    whole_at,
)

WIRE: WireFormat = "openai_completions"

_KNOWN = frozenset(
    [
        "model",
        "prompt",
        "suffix",
        "echo",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "top_k",
        "presence_penalty",
        "frequency_penalty",
        "stop",
        "seed",
        "random_seed",
        "n",
        "logprobs",
        "logit_bias",
        "user",
        "stream",
        "stream_options",
    ]
)


def read_request(body: Body, *, model: str, streamed: bool) -> ChatRequest:
    """See `Translator.read_request`."""
    members = request_members(body)
    prompt = _prompt(members)
    extra = extras(members, _KNOWN)
    if extra.get("best_of") == b"1":
        del extra["best_of"]
    options = object_at(members, "stream_options")
    most = whole_at(members, "logprobs")
    return ChatRequest(
        origin=WIRE,
        model=model,
        messages=(Message("user", (Text(prompt),) if prompt else ()),),
        raw_prompt=True,
        suffix=text_at(members, "suffix"),
        echo=bool(flag_at(members, "echo")),
        logprobs=most is not None,
        top_logprobs=most or None,
        user=text_at(members, "user"),
        streamed=streamed,
        usage_in_stream=bool(options and flag_at(options, "include_usage", "stream_options")),
        extra=extra,
        **sampling(members),
    )


def _prompt(members: dict[str, Any]) -> str:
    prompt = members.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str):
        return prompt[0]
    if isinstance(prompt, list) and prompt and all(isinstance(text, str) for text in prompt):
        refuse("prompt", prompt, "one prompt in each request")
    if isinstance(prompt, list) and prompt:
        refuse("prompt", prompt, "a text: tokens mean something to one model only")
    if not isinstance(prompt, str):
        refuse("prompt", prompt, "a text")
    return prompt


def write_request(request: ChatRequest, new_id: NewId) -> bytes:
    """See `Translator.write_request`; raises `InvalidRequest` where there is a conversation."""
    del new_id  # there is nothing to name
    members: dict[str, Any] = {"model": request.model}
    if request.max_output_tokens is not None:
        members["max_tokens"] = request.max_output_tokens
    add_sampling(members, request)
    if request.logprobs:
        members["logprobs"] = request.top_logprobs or 0
    if request.user is not None:
        members["user"] = fitting_name(request.user)
    if request.echo:
        members["echo"] = True
    if request.streamed:
        members["stream"] = True
        if request.usage_in_stream:
            members["stream_options"] = {"include_usage": True}
    if request.suffix is not None:
        members["suffix"] = request.suffix
    members["prompt"] = _written_prompt(request)
    return msgspec.json.encode(members)


def _written_prompt(request: ChatRequest) -> str:
    messages = request.messages
    if len(messages) != 1 or messages[0].role != "user":
        raise InvalidRequest(
            f'"messages" has {len(messages)}, and "{request.model}" continues one prompt only',
            hint="send one message of the user, or ask a model that chats",
        )
    return "\n\n".join([part.text for part in messages[0].content if isinstance(part, Text)])
