"""Spoiled requests and answers through a running gateway that translates: each is told in the face's own shape.

No 500, no traceback, no attempt left open, and the books agree. The seed of a case is its number, which a failure
names.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from farthing.gateway.formats import FORMATS
from farthing.types.providers import WireFormat
from farthing.types.usage import UsageHabits
from farthing.wire.translators.registry import translator
from tests.e2e.recordings.client_side import check_error_shape
from tests.e2e.recordings.replay import Line
from tests.e2e.support import Answer, Gateway
from tests.e2e.test_pairs import FACES, PAIRS, PROVIDERS, answer_in, conversation, everybody, new_ids
from tests.e2e.upstream import Upstream, streamed, whole
from tests.properties.mutations import spoiled

CASES = round(300 * float(os.environ.get("FARTHING_CI_SCALE", "1")))
House = tuple[Gateway, str, dict[WireFormat, Upstream]]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with everybody(tmp_path_factory.mktemp("spoiled")) as found:
        yield found


def sent(face: WireFormat, wire: WireFormat, *, streams: bool) -> tuple[str, bytes]:
    """Return the path and the body of a call of a face for a provider's model."""
    named, ids = f"{wire}:{PROVIDERS[wire][1]}", new_ids()
    request = conversation(face, named, streams=streams)
    body = translator(face).write_request(request, lambda prefix: f"{prefix}{next(ids)}")
    return FACES[face][streams].replace("{model}", named), body


def spoiled_answer(random: Random, wire: WireFormat, *, streams: bool) -> bytes:
    data = answer_in(wire, PROVIDERS[wire][1], streams=streams)
    return spoiled(random, data) if random.random() < 0.4 else data


def test_spoiled_calls_are_answered_in_the_shape_of_their_face_and_the_books_agree(house: House) -> None:
    gateway, key, behind = house
    line, statuses = Line(gateway.port), Counter[int]()
    for case in range(CASES):
        random = Random(f"call {case}")
        face, wire = PAIRS[case % len(PAIRS)]
        streams = random.random() < 0.5
        path, body = sent(face, wire, streams=streams)
        if random.random() < 0.8:
            body = spoiled(random, body)
        data = spoiled_answer(random, wire, streams=streams)
        behind[wire].now(streamed(data[:300], data[300:]) if streams and len(data) > 300 else whole(data))
        answer = line.send("POST", path, body, headers(face, key))
        statuses[answer.status] += 1
        try:
            check(face, answer)
        except AssertionError as error:
            raise AssertionError(
                f"case {case}, {face} to {wire}: {body[:1_500]!r} gave {answer.body[-800:]!r}"
            ) from error
    line.close()
    assert statuses[200] >= CASES // 5, statuses
    assert statuses[400] >= CASES // 5, statuses
    assert all(attempt.outcome != "crashed" for attempt in gateway.attempts())
    gateway.verify()
    assert "Traceback" not in (gateway.home / "serve.log").read_text(encoding="utf-8")


def headers(face: WireFormat, key: str) -> dict[str, str]:
    sent = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    return sent | ({"anthropic-version": "2023-06-01"} if face == "anthropic_messages" else {})


def check(face: WireFormat, answer: Answer) -> None:
    assert answer.status in (200, 400, 404, 413, 501, 502), answer.status
    if answer.status != 200:
        found: Any = json.loads(answer.body)
        check_error_shape(face, found, face)
    elif answer.headers["content-type"].startswith(("text/event-stream", "application/x-ndjson")):
        reader = FORMATS[face].stream_meter(lambda _: None, UsageHabits(), strip_usage=False)
        reader.feed(answer.body)
        reader.rest()
        assert reader.reading().finished or reader.failed, "the stream ended in silence"
