"""Which headers go on, in both directions.

To the provider go all of the client's except credentials, hop-by-hop ones, cookies, forwarding ones,
`accept-encoding` (we ask for `identity`, or the meter would see gzip) and our own `x-farthing-*`. Back to the client go
all of the provider's except hop-by-hop ones, cookies and what describes the provider's server; its rate limits and
request id come as `x-upstream-*`, because the plain names are ours.
"""

from collections.abc import Mapping, Sequence

Headers = Sequence[tuple[bytes, bytes]]

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
_OURS_UPSTREAM = (b"x-ratelimit-", b"anthropic-ratelimit-", b"ratelimit-")
_UPSTREAM_ID = {b"x-request-id", b"request-id"}
_OTHER_IDS = (b"mistral-correlation-id", b"x-ds-trace-id", b"x-generation-id")
"""What Mistral, DeepSeek and OpenRouter call theirs."""
_DIALECTS = (
    b"accept:",
    b"anthropic-",
    b"content-type:",
    b"openai-",
    b"session_id:",  # Codex'
    b"x-app:",
    b"x-claude-",
    b"x-codex-",
    b"x-goog-",
    b"x-openai-",
    b"x-stainless-",
)
"""What clients tell the provider of their own format; the content type is made anew."""
_JSON_LINE = b"content-type: application/json\r\n"
_MAX_NAMES = 1024
"""Header names whose fate is remembered; real clients and providers together use under 200."""

_request_fate: dict[bytes, bytes] = {}
"""How a header's line begins upstream; empty where it does not go on."""
_response_fate: dict[bytes, bytes] = {}
"""The same for the client."""


class RequestHeaders:
    """A client's headers: the lines that go to the provider, and the last of each by its name in lower case."""

    __slots__ = ("lines", "named")

    def __init__(self, headers: Headers, named: Mapping[bytes, bytes]) -> None:
        self.named = named
        hop = named.get(b"connection")
        if hop is not None and hop.lower() not in (b"keep-alive", b"close"):
            dropped = {token.strip().lower() for token in hop.split(b",")}
            headers = [header for header in headers if header[0] not in dropped]
        fate = _request_fate
        try:
            lines = [start + value for name, value in headers if (start := fate[name])]
        except KeyError:
            lines = [start + value for name, value in headers if (start := _decide_request(name))]
        lines.append(b"")
        self.lines = b"\r\n".join(lines)

    @classmethod
    def known(cls, lines: bytes, named: Mapping[bytes, bytes]) -> "RequestHeaders":
        """Return them where the lines that go on are known already."""
        made = cls.__new__(cls)
        made.lines, made.named = lines, named
        return made

    def hide(self, token: bytes) -> None:
        """Leave out every line that holds the client's key, whatever header it was put into."""
        if token in self.lines:
            kept = [line for line in self.lines.split(b"\r\n") if line and token not in line]
            self.lines = b"".join(line + b"\r\n" for line in kept)


def for_other_format(lines: bytes) -> bytes:
    """Return a client's lines without those that speak to providers of its own format."""
    kept = [line for line in lines.split(b"\r\n") if line and not line.startswith(_DIALECTS)]
    return b"".join(line + b"\r\n" for line in kept) + _JSON_LINE


def returned(headers: Headers, named: Mapping[bytes, bytes]) -> tuple[list[bytes], str | None]:
    """Return the lines that go back to the client, renamed where the plain name is ours, and the request id.

    `named` has the last of each header by its name.
    """
    fate = _response_fate
    try:
        lines = [start + value for name, value in headers if (start := fate[name])]
    except KeyError:
        lines = [start + value for name, value in headers if (start := _decide_response(name))]
    request_id = named.get(b"request-id") or named.get(b"x-request-id")
    if request_id is None and not named.keys().isdisjoint(_OTHER_IDS):
        request_id = next(named[name] for name in _OTHER_IDS if name in named)
    return lines, None if request_id is None else request_id[:200].decode("latin-1")


def _decide_request(name: bytes) -> bytes:
    start = b"" if name in _NOT_FORWARDED or name.startswith(b"x-farthing-") else name + b": "
    if len(_request_fate) < _MAX_NAMES:
        _request_fate[name] = start
    return start


def _decide_response(name: bytes) -> bytes:
    new = name
    if name in _NOT_RETURNED or name.startswith((b"access-control-", b"x-farthing-", b"cf-")):
        new = b""
    elif name in _UPSTREAM_ID or name.startswith(_OURS_UPSTREAM):
        new = b"x-upstream-" + name.removeprefix(b"x-")
    start = new + b": " if new else b""
    if len(_response_fate) < _MAX_NAMES:
        _response_fate[name] = start
    return start
