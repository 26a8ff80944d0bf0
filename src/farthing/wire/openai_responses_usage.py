"""The usage of OpenAI responses: tokens, and what the provider's own tools did.

Server tools. OpenAI bills a web search per `web_search_call` whose action is `search`, not for opening a page or
finding text in one, and not per query; newer answers count them in `tool_usage`, xAI in its usage, and those counts
go first (where both are recorded, they agree). File search, code interpreter, containers and image generation have
fees that no price list of ours has: the line is flagged `server_tools_unpriced`, its cost is that of its tokens.
"""

from typing import Annotated, Any

import msgspec

from farthing.types.usage import Usage, UsageFlag
from farthing.wire.lenient import UNREADABLE
from farthing.wire.meter import ABSENT, MAX_COUNT, Counts, check_parts, what_remains

_UNPRICED_TOOLS = {"file_search_call", "code_interpreter_call", "image_generation_call"}
_UNPRICED_COUNTS = ("code_interpreter_calls", "file_search_calls", "document_search_calls", "image_generation_calls")
TOOL_MARKS = (b'"web_search_call"', b'"shell_call"', *(b'"%b"' % kind.encode() for kind in sorted(_UNPRICED_TOOLS)))


class Item(msgspec.Struct, gc=False):
    """What an item of the output says and does; an image's bytes are not among it."""

    type: Any = None
    status: Any = None
    name: Any = None
    arguments: Any = None
    input: Any = None
    code: Any = None
    content: Any = None
    summary: Any = None
    action: Any = None
    environment: Any = None


_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]


class _Given(msgspec.Struct, gc=False):
    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None
    audio_tokens: msgspec.Raw = ABSENT
    image_tokens: msgspec.Raw = ABSENT


class _Made(msgspec.Struct, gc=False):
    reasoning_tokens: _Count | None = None
    audio_tokens: msgspec.Raw = ABSENT
    image_tokens: msgspec.Raw = ABSENT


class _PlainUsage(msgspec.Struct, gc=False):
    """The usage that nearly every answer has; whatever else is in it goes the long way."""

    input_tokens: _Count
    output_tokens: _Count
    total_tokens: _Count
    input_tokens_details: _Given | None = None
    output_tokens_details: _Made | None = None
    server_side_tool_usage_details: msgspec.Raw = ABSENT
    cost: msgspec.Raw = ABSENT
    cost_in_usd_ticks: msgspec.Raw = ABSENT


_NOTHING_GIVEN, _NOTHING_MADE = _Given(), _Made()
_plain_usages = msgspec.json.Decoder(_PlainUsage)


class Tools:
    """What the provider's own tools did: how often they searched, and whether they did what we have no price for."""

    __slots__ = ("searches", "unpriced")

    def __init__(self) -> None:
        self.searches = 0
        self.unpriced = False

    def note(self, item: Item) -> None:
        """Take an item of the output; one that failed was not billed."""
        kind, action = item.type, item.action
        if item.status == "failed" or not isinstance(kind, str):
            return
        if kind == "web_search_call":
            what = action.get("type") if isinstance(action, dict) else None
            self.searches += what is None or what == "search"
        elif kind in _UNPRICED_TOOLS:
            self.unpriced = True
        elif kind == "shell_call" and isinstance(item.environment, dict):
            where = item.environment.get("type")
            self.unpriced = self.unpriced or (isinstance(where, str) and where.startswith("container"))

    @property
    def used(self) -> bool:
        """Whether there is anything to bill, or to say."""
        return self.searches > 0 or self.unpriced

    def usage(self) -> Usage | None:
        """Return what is known where no tokens were counted: totals stay unknown, and searches are billed."""
        if not self.used:
            return None
        flags: tuple[UsageFlag, ...] = ("server_tools_unpriced",) if self.unpriced else ()
        return Usage(web_search_requests=self.searches, flags=flags)


def read_usage(usage: Any, tools: Tools | None = None) -> Usage | None:
    """Return the usage in our shape; `None` where there is nothing to read. Never raises."""
    tools = tools or Tools()
    if not isinstance(usage, dict) or not usage:
        return tools.usage()
    counts = Counts()
    given, made = usage.get("input_tokens_details"), usage.get("output_tokens_details")
    input_tokens = counts.total(usage, "input_tokens")
    output_tokens = counts.total(usage, "output_tokens")
    total = counts.total(usage, "total_tokens")
    if total is not None and input_tokens is not None and output_tokens is None:
        output_tokens = what_remains(total - input_tokens, usage.get("output_tokens"))
    reasoning = counts.part(made, "reasoning_tokens")
    cached, written = counts.part(given, "cached_tokens"), counts.part(given, "cache_write_tokens")
    if total is not None and (input_tokens or 0) + (output_tokens or 0) != total:
        counts.flag("total_disagrees")
    if output_tokens is not None and reasoning > output_tokens:
        counts.flag("reasoning_exceeds_output")
        if "total_disagrees" not in counts.flags and total is not None:
            reasoning = output_tokens  # the total confirms the output; reasoning is counted by another tokenizer
    check_parts(counts, input_tokens, cached, written)
    searches = tools.searches
    of_server = usage.get("server_side_tool_usage_details")
    if isinstance(of_server, dict):
        searches = counts.part(of_server, "web_search_calls") + counts.part(of_server, "x_search_calls")
    if tools.unpriced or any(counts.part(of_server, name) for name in _UNPRICED_COUNTS):
        counts.flag("server_tools_unpriced")
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_input_tokens=cached,
        cache_creation_5m_input_tokens=written,
        input_audio_tokens=counts.part(given, "audio_tokens"),
        input_image_tokens=counts.part(given, "image_tokens"),
        reasoning_output_tokens=reasoning,
        output_audio_tokens=counts.part(made, "audio_tokens"),
        output_image_tokens=counts.part(made, "image_tokens"),
        web_search_requests=searches,
        flags=tuple(counts.flags),
    )


def plain_usage(raw: bytes) -> Usage | None:
    """Return a usage without anything odd in it, in a quarter of the time that `read_usage` takes; else `None`."""
    try:
        plain = _plain_usages.decode(raw)
    except UNREADABLE:
        return None
    given, made = plain.input_tokens_details or _NOTHING_GIVEN, plain.output_tokens_details or _NOTHING_MADE
    cached, written = given.cached_tokens or 0, given.cache_write_tokens or 0
    reasoning = made.reasoning_tokens or 0
    odd = (given.audio_tokens, given.image_tokens, made.audio_tokens, made.image_tokens, plain.cost)
    if (
        plain.input_tokens + plain.output_tokens != plain.total_tokens
        or cached + written > plain.input_tokens
        or reasoning > plain.output_tokens
        or any(len(member) for member in odd)
        or plain.cost_in_usd_ticks is not ABSENT
        or plain.server_side_tool_usage_details is not ABSENT
    ):
        return None
    return Usage(
        input_tokens=plain.input_tokens,
        output_tokens=plain.output_tokens,
        cache_read_input_tokens=cached,
        cache_creation_5m_input_tokens=written,
        reasoning_output_tokens=reasoning,
    )
