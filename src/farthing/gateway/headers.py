"""Which headers go on, in both directions.

To the provider go all of the client's except credentials, hop-by-hop ones, cookies, forwarding ones,
`accept-encoding` (we ask for `identity`, or the meter would see gzip) and our own `x-farthing-*`. Back to the client go
all of the provider's except hop-by-hop ones, cookies and what describes the provider's server; its rate limits and
request id come as `x-upstream-*`, because the plain names are ours.
"""

from collections.abc import Iterable

Headers = Iterable[tuple[bytes, bytes]]

_NOT_FORWARDED = {
    # hop by hop (RFC 9110, 7.6.1), and what is made anew for each hop
    b"connection",
    b"content-length",
    b"expect",
    b"host",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    # credentials and cookies
    b"api-key",
    b"authorization",
    b"cookie",
    b"x-api-key",
    b"x-goog-api-key",
    # who is in front of us is nobody's business behind us
    b"cf-connecting-ip",
    b"forwarded",
    b"true-client-ip",
    b"via",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-forwarded-proto",
    b"x-forwarded-server",
    b"x-real-ip",
    # Google's: who pays, which fields the answer has (of one without usage nobody knows the cost), another method
    b"x-goog-fieldmask",
    b"x-goog-user-project",
    b"x-http-method-override",
    # the request that we send is neither compressed nor answered compressed
    b"accept-encoding",
    b"content-encoding",
}
_NOT_RETURNED = {
    b"alt-svc",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"date",
    b"keep-alive",
    b"location",  # redirects are off
    b"nel",
    b"proxy-authenticate",
    b"report-to",
    b"server",
    b"set-cookie",
    b"strict-transport-security",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
}
_TOLD = {
    b"authorization",
    b"connection",
    b"content-encoding",
    b"x-api-key",
    b"x-claude-code-session-id",
    b"x-goog-api-key",
}
"""Headers that somebody here reads, besides our own `x-farthing-*`."""
_OURS_UPSTREAM = (b"x-ratelimit-", b"anthropic-ratelimit-", b"ratelimit-")
_UPSTREAM_ID = {b"x-request-id", b"request-id"}
_OTHER_IDS = {b"mistral-correlation-id", b"x-ds-trace-id", b"x-generation-id"}
"""What Mistral, DeepSeek and OpenRouter call theirs."""
_MAX_NAMES = 1024
"""Header names whose fate is remembered; real clients and providers together use under 200."""

_request_fate: dict[bytes, tuple[bytes | None, bool]] = {}
_response_fate: dict[bytes, bytes | None] = {}


class RequestHeaders:
    """A client's headers, looked at once: the lines that go to the provider, and those that we read (`told`)."""

    __slots__ = ("lines", "told")

    def __init__(self, headers: Headers) -> None:
        """Sort `headers` (names in lower case); of one that is sent twice, `told` has the last."""
        pieces: list[bytes] = []
        told: dict[bytes, bytes] = {}
        for name, value in headers:
            try:
                start, is_told = _request_fate[name]
            except KeyError:
                start, is_told = _decide_request(name)
            if start is not None:
                pieces += (start, value, b"\r\n")
            if is_told:
                told[name] = value
        hop = told.get(b"connection")
        if hop is not None and hop.lower() not in (b"keep-alive", b"close"):
            named = {token.strip().lower() for token in hop.split(b",")}
            kept = [(name, value) for name, value in headers if name not in named]
            pieces = [piece for header in kept for piece in _pieces(header)]
        self.lines = b"".join(pieces)
        self.told = told

    def hide(self, token: bytes) -> None:
        """Leave out every line that holds the client's key, whatever header it was put into."""
        if token in self.lines:
            kept = [line for line in self.lines.split(b"\r\n") if line and token not in line]
            self.lines = b"".join(line + b"\r\n" for line in kept)


def returned(headers: Headers) -> tuple[list[tuple[bytes, bytes]], str | None]:
    """Return the headers that go back to the client, renamed where the plain name is ours, and the request id."""
    kept, request_id = [], None
    for name, value in headers:
        try:
            new = _response_fate[name]
        except KeyError:
            new = _decide_response(name)
        if new is not None:
            kept.append((new, value))
            if new == b"x-upstream-request-id" or (new in _OTHER_IDS and request_id is None):
                request_id = value.decode("latin-1")[:200]
    return kept, request_id


def _pieces(header: tuple[bytes, bytes]) -> tuple[bytes, ...]:
    start, _ = _decide_request(header[0])
    return () if start is None else (start, header[1], b"\r\n")


def _decide_request(name: bytes) -> tuple[bytes | None, bool]:
    ours = name.startswith(b"x-farthing-")
    fate = (None if ours or name in _NOT_FORWARDED else name + b": ", ours or name in _TOLD)
    if len(_request_fate) < _MAX_NAMES:
        _request_fate[name] = fate
    return fate


def _decide_response(name: bytes) -> bytes | None:
    new: bytes | None = name
    if name in _NOT_RETURNED or name.startswith((b"access-control-", b"x-farthing-", b"cf-")):
        new = None
    elif name in _UPSTREAM_ID or name.startswith(_OURS_UPSTREAM):
        new = b"x-upstream-" + name.removeprefix(b"x-")
    if len(_response_fate) < _MAX_NAMES:
        _response_fate[name] = new
    return new
