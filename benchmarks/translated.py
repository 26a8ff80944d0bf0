"""What a translated call costs beside one that is passed through: CPU per request, small and large, and per event.

    python benchmarks/translated.py            measure and print
    python benchmarks/translated.py --keep     and fail where a ratio is over what is to be kept

Each pair is a face and a provider's format; the same face passed through stands beside it, in the same rounds on the
same core. A request may cost twice as much, small (935 B) or a coding agent's (112 KB), and an event of a stream 2.5
times as much. Bodies of the other formats are the chat's, translated.
"""

import argparse
import itertools
import json
import sys
from contextlib import ExitStack
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.bodies import LARGE, SMALL
from benchmarks.load import Ask
from benchmarks.measure import SECONDS, Subject, take_round
from benchmarks.processes import GATEWAY_CORE, GatewayProcess, Upstream, gateway, upstream
from benchmarks.slices import Cost, Patience, cost
from farthing.types.providers import WireFormat
from farthing.wire.translators.registry import translator

ROUNDS = 3
PATIENCE_S = 60.0
KEEP = {"small": 2.0, "large": 2.0, "event": 2.5}
MODELS: dict[WireFormat, tuple[str, str]] = {
    "openai_chat": ("openai:gpt-5-mini", ""),
    "openai_responses": ("openai:gpt-5.6", "responses"),
    "anthropic_messages": ("anthropic:claude-haiku-4-5", "messages"),
    "gemini": ("gemini:gemini-2.5-flash", "gemini"),
    "ollama": ("ollama:qwen3:8b", "ollama"),
}
"""The model of a provider of each format, and what the upstream calls its answer (empty: the chat completion)."""
PATHS: dict[WireFormat, tuple[str, str]] = {
    "openai_chat": ("/v1/chat/completions", "/v1/chat/completions"),
    "openai_responses": ("/v1/responses", "/v1/responses"),
    "anthropic_messages": ("/v1/messages", "/v1/messages"),
    "gemini": ("/v1beta/models/{}:generateContent", "/v1beta/models/{}:streamGenerateContent?alt=sse"),
    "ollama": ("/api/chat", "/api/chat"),
}
PAIRS: list[tuple[WireFormat, WireFormat]] = [
    ("openai_chat", "anthropic_messages"),
    ("openai_chat", "gemini"),
    ("openai_chat", "ollama"),
    ("openai_responses", "anthropic_messages"),
    ("anthropic_messages", "openai_chat"),
    ("anthropic_messages", "openai_responses"),
    ("anthropic_messages", "gemini"),
    ("gemini", "openai_chat"),
    ("ollama", "anthropic_messages"),
]


def asked(served: GatewayProcess, face: WireFormat, wire: WireFormat, row: str) -> Ask:
    """Return what a client of a face asks a provider of a format."""
    model, answer = MODELS[wire]
    streams = row == "event"
    chat = translator("openai_chat").read_request(LARGE if row == "large" else SMALL, model=model, streamed=streams)
    # The answers have the counts in them: a chat's stream is asked for them, so that nothing has to be added.
    request = msgspec.structs.replace(chat, temperature=None, usage_in_stream=streams, extra={}, metadata=None)
    numbers = itertools.count()
    body = translator(face).write_request(request, lambda prefix: f"{prefix}{next(numbers)}")
    headers = {
        "content-type": "application/json",
        "authorization": f"Bearer {served.key}",
        "anthropic-version": "2023-06-01",
        "user-agent": "bench",
    }
    if answer:
        headers["x-bench-answer"] = answer
    if streams:
        headers["x-bench-stream"] = "1"
    return Ask(
        port=served.port,
        path=PATHS[face][streams].format(model),
        body=body,
        headers=headers,
        connections=64,
        seconds=SECONDS,
    )


def measure(provider: Upstream) -> dict[tuple[WireFormat, WireFormat, str], Cost]:
    """Return what each costs, by face, provider's format and row."""
    with ExitStack() as stack:
        served = stack.enter_context(gateway(provider.port))
        faces = dict.fromkeys(face for face, _ in PAIRS)
        ways = [(face, face) for face in faces] + PAIRS
        subjects = {
            (face, wire, row): Subject(
                name=f"{face} to {wire}, {row}",
                process=served.process,
                done=provider.sent,
                ask=asked(served, face, wire, row),
            )
            for row in KEEP
            for face, wire in sorted(ways)
        }
        patience = Patience(GATEWAY_CORE, PATIENCE_S)
        for _ in range(ROUNDS):
            for subject in subjects.values():
                patience.wait()
                take_round(subject)
        return {name: cost(subject.slices) for name, subject in subjects.items()}


def main() -> int:
    """Measure and print; with `--keep` fail where a ratio is over the bound."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    with upstream() as provider:
        found = measure(provider)
    print("| from | to | 935 B, us | ratio | 112 KB, us | ratio | event, us | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    worst = dict.fromkeys(KEEP, 0.0)
    for face, wire in PAIRS:
        cells = []
        for row in KEEP:
            # The best tenths are compared: they move least with the machine.
            ratio = found[face, wire, row].low / found[face, face, row].low
            worst[row] = max(worst[row], ratio)
            cells += [f"{found[face, wire, row].us:.1f}", f"{ratio:.2f}"]
        print(f"| {face} | {wire} | {' | '.join(cells)} |")
    print(json.dumps({row: round(ratio, 2) for row, ratio in worst.items()}))
    return int(options.keep and any(worst[row] > KEEP[row] for row in KEEP))


if __name__ == "__main__":
    sys.exit(main())
