"""Log probabilities: Gemini's two lists beside each other, and OpenAI's one list of tokens."""

from typing import Any

import msgspec

from farthing.wire.lenient import UNREADABLE


class Token(msgspec.Struct, gc=False):
    """One token, and how likely it was; a probability of 1 is left out as every 0 is."""

    token: str | None = None
    logProbability: float = 0.0  # noqa: N815 - Gemini's names here and below


class Likeliest(msgspec.Struct):
    """The likeliest tokens of one place."""

    candidates: list[Token] | None = None


class Logprobs(msgspec.Struct):
    """What a candidate says of its tokens."""

    chosenCandidates: list[Token] | None = None  # noqa: N815
    topCandidates: list[Likeliest] | None = None  # noqa: N815


class _Usual(msgspec.Struct):
    """A token in OpenAI's shape."""

    token: str = ""
    logprob: float = 0.0
    top_logprobs: list["_Usual"] | None = None


_usual = msgspec.json.Decoder(list[_Usual])


def usual_logprobs(found: Logprobs) -> bytes | None:
    """Return log probabilities in OpenAI's shape; none where there are none."""
    if not found.chosenCandidates:
        return None
    likeliest = found.topCandidates or []
    rows = []
    for at, token in enumerate(found.chosenCandidates):
        row = _row(token)
        row["top_logprobs"] = [_row(other) for other in (likeliest[at].candidates or ())] if at < len(likeliest) else []
        rows.append(row)
    return msgspec.json.encode(rows)


def logprobs_result(usual: bytes) -> dict[str, Any] | None:
    """Return Gemini's shape of OpenAI's list; none where it cannot be read."""
    try:
        rows = _usual.decode(usual)
    except UNREADABLE:
        return None
    result: dict[str, Any] = {"chosenCandidates": [_token(row) for row in rows]}
    if any(row.top_logprobs for row in rows):
        result["topCandidates"] = [{"candidates": [_token(top) for top in row.top_logprobs or ()]} for row in rows]
    return result


def _row(token: Token) -> dict[str, Any]:
    text = token.token or ""
    return {"token": text, "bytes": list(text.encode("utf-8", "replace")), "logprob": token.logProbability}


def _token(row: _Usual) -> dict[str, Any]:
    return {"token": row.token, "logProbability": row.logprob}
