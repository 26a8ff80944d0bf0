"""Every face to every format through a running gateway: what is said arrives, streamed or not, and is billed.

The provider's answers are written, and the client's read, by the translators themselves, whose own tests hold them
against recordings and official packages; here it is the whole way that counts: paths, heads, bodies, usage, ledger.
"""

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from farthing.types.chat import (
    ChatAnswer,
    ChatRequest,
    Choice,
    Message,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from farthing.types.providers import WireFormat
from farthing.types.usage import Usage
from farthing.wire.translators.assembly import answer_of, events_of
from farthing.wire.translators.protocol import Asked, encode_all
from farthing.wire.translators.registry import translator
from tests.e2e.support import Answer, Gateway, running_gateway
from tests.e2e.upstream import Upstream, streamed, upstream, whole

FACES: dict[WireFormat, tuple[str, str]] = {
    "openai_chat": ("/v1/chat/completions", "/v1/chat/completions"),
    "openai_responses": ("/v1/responses", "/v1/responses"),
    "anthropic_messages": ("/v1/messages", "/v1/messages"),
    "gemini": ("/v1beta/models/{model}:generateContent", "/v1beta/models/{model}:streamGenerateContent?alt=sse"),
    "ollama": ("/api/chat", "/api/chat"),
}
"""Where each face is asked, whole and as a stream."""
PROVIDERS: dict[WireFormat, tuple[str, str, bytes, bytes]] = {
    "openai_chat": ("mistral", "m", b"/chat/completions", b"/chat/completions"),
    "openai_responses": ("openai", "gpt-5.6-m", b"/responses", b"/responses"),
    "anthropic_messages": ("anthropic", "m", b"/v1/messages", b"/v1/messages"),
    "gemini": (
        "gemini",
        "m",
        b"/v1beta/models/m:generateContent",
        b"/v1beta/models/m:streamGenerateContent?alt=sse",
    ),
    "ollama": ("ollama", "m", b"/api/chat", b"/api/chat"),
}
"""The kind of a provider of each format, a model's name, and where it is asked, whole and as a stream."""
PASSED_THROUGH = {("openai_chat", "openai_responses")}
"""Whoever speaks responses speaks chat as well."""
PAIRS = [pair for pair in itertools.product(FACES, PROVIDERS) if pair[0] != pair[1] and pair not in PASSED_THROUGH]
USAGE = Usage(input_tokens=1_000, output_tokens=50, cache_read_input_tokens=600)
COST = 400 * 2_000 + 600 * 500 + 50 * 10_000  # nanodollars, by the prices below
COST_WITHOUT_CACHE = 1_000 * 2_000 + 50 * 10_000
ANSWER: tuple[Part, ...] = (
    Thinking("Where is Bern?"),
    Text("Let me look: é ☃ 😀"),
    ToolCall("call_1", "weather", '{"city":"Bern","days":[1,2]}'),
    ToolCall("call_2", "weather", '{"city":"Basel"}'),
)


def new_ids() -> Iterator[int]:
    return itertools.count(1)


def asked_of(request: ChatRequest) -> Asked:
    ids = new_ids()
    return Asked(
        request=request,
        model=request.model,
        answer_id="01abc",
        created_s=1_780_000_000,
        input_tokens_estimate=990,
        new_id=lambda prefix: f"{prefix}{next(ids)}",
    )


def conversation(face: WireFormat, model: str, *, streams: bool) -> ChatRequest:
    return ChatRequest(
        origin=face,
        model=model,
        messages=(
            Message("system", (Text("Be brief."),)),
            Message("user", (Text("Hello"),)),
            Message("assistant", (Text("Yes?"), ToolCall("call_0", "weather", '{"city":"Zug"}'))),
            Message("tool", (ToolResult("call_0", (Text("rain"),), name="weather"),)),
            Message("user", (Text("And in Bern and Basel?"),)),
        ),
        tools=(Tool("weather", "Tells the weather.", b'{"type":"object","properties":{"city":{"type":"string"}}}'),),
        max_output_tokens=300,
        streamed=streams,
        usage_in_stream=streams,
    )


def answer_in(wire: WireFormat, model: str, *, streams: bool) -> bytes:
    """Return the provider's answer in its own format."""
    answer = ChatAnswer(id="id1", model=model, choices=(Choice(ANSWER, "tool_calls"),))
    form, asked = translator(wire), asked_of(conversation(wire, model, streams=streams))
    if streams:
        return encode_all(form.stream_encoder(asked), events_of(answer, USAGE))
    return form.write_answer(answer, USAGE, asked)


@contextlib.contextmanager
def everybody(tmp_path: Path) -> Iterator[tuple[Gateway, str, dict[WireFormat, Upstream]]]:
    """A gateway with a provider of each format, every one of which answers as its test says."""
    with contextlib.ExitStack() as stack:
        behind = {wire: stack.enter_context(upstream(whole(b"{}"))) for wire in PROVIDERS}
        rows = [
            f"  {wire}: {{kind: {kind}, base_url: {behind[wire].url}, credential: none}}"
            for wire, (kind, *_) in PROVIDERS.items()
        ]
        prices = [f'  - {{model: "{wire}:*", input: 2, output: 10, cache_read: 0.5}}' for wire in PROVIDERS]
        settings = "\n".join(("providers:", *rows, "prices:", *prices, ""))
        gateway = stack.enter_context(running_gateway(tmp_path / "home", settings))
        yield gateway, gateway.new_key(), behind


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, str, dict[WireFormat, Upstream]]]:
    with everybody(tmp_path_factory.mktemp("pairs")) as found:
        yield found


House = tuple[Gateway, str, dict[WireFormat, Upstream]]


def ask(house: House, face: WireFormat, wire: WireFormat, *, streams: bool) -> tuple[Answer, bytes]:
    """Ask a face for a provider's model; return the client's answer and what the provider got."""
    gateway, key, behind = house
    model = PROVIDERS[wire][1]
    data = answer_in(wire, model, streams=streams)
    behind[wire].now(streamed(*[data[at : at + 97] for at in range(0, len(data), 97)]) if streams else whole(data))
    named = f"{wire}:{model}"
    request = conversation(face, named, streams=streams)
    ids = new_ids()
    body = translator(face).write_request(request, lambda prefix: f"{prefix}{next(ids)}")
    path = FACES[face][streams].replace("{model}", named)
    return gateway.post(path, body, key), behind[wire].requests[-1]


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("face", "wire"), PAIRS, ids=[f"{face}-{wire}" for face, wire in PAIRS])
def test_what_is_asked_and_answered_arrives_and_is_billed(
    house: House, face: WireFormat, wire: WireFormat, streams: bool
) -> None:
    answer, sent = ask(house, face, wire, streams=streams)
    assert answer.status == 200, answer.body

    # The provider was asked in its own format, at its own path, for the same thing.
    head, _, body = sent.partition(b"\r\n\r\n")
    _, _, whole_path, stream_path = PROVIDERS[wire]
    assert head.split(b" ")[1].endswith(stream_path if streams else whole_path), head
    got = translator(wire).read_request(body, model=PROVIDERS[wire][1], streamed=streams)
    expected = conversation(face, PROVIDERS[wire][1], streams=streams)
    assert texts(got) == texts(expected)
    assert [tool.name for tool in got.tools] == ["weather"]
    assert got.max_output_tokens == 300

    # The client reads the same answer in its own.
    form, ids = translator(face), new_ids()

    def new_id(prefix: str) -> str:
        return f"{prefix}{next(ids)}"

    if streams:
        decoder = form.stream_decoder(new_id)
        read = answer_of([*decoder.feed(answer.body), *decoder.rest()])
    else:
        read = form.read_answer(answer.body, new_id)
    (choice,) = read.choices
    assert choice.finish_reason == "tool_calls"
    assert said(choice.content) == said(ANSWER)

    # And the ledger has what the provider counted.
    call = answer.headers["x-farthing-call-id"]
    (attempt,) = [found for found in house[0].attempts() if found.opening.call_id == call]
    assert attempt.outcome == "ok"
    assert (attempt.usage.input_tokens, attempt.usage.output_tokens) == (1_000, 50)
    assert attempt.cost_nanousd == (COST_WITHOUT_CACHE if wire == "ollama" else COST)
    assert answer.headers["x-farthing-provider"] == wire
    if not streams:
        assert answer.headers["x-farthing-cost-usd"] == f"0.{attempt.cost_nanousd:09d}"


def texts(request: ChatRequest) -> list[str]:
    """Return what is said in a request, in order; who says what in which turn differs between formats."""
    found = []
    for message in request.messages:
        for part in message.content:
            match part:
                case Text():
                    found.append(part.text)
                case ToolCall():
                    found.append(f"{part.name}({part.arguments})")
                case ToolResult():
                    found += [piece.text for piece in part.content if isinstance(piece, Text)]
                case _:
                    pass
    return found


def said(parts: tuple[Part, ...]) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for part in parts:
        match part:
            case Text() | Thinking():
                found.append((type(part).__name__, part.text))
            case ToolCall():
                found.append((part.name, msgspec.json.decode(part.arguments)))
            case _:
                found.append(("other", part))
    return found
