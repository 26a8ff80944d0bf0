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
_OURS_ID = {b"x-request-id", b"request-id"}
_MAX_NAMES = 1024
"""Header names whose fate is remembered; real clients and providers together use under 200."""

_request_fate: dict[bytes, bool] = {}
_response_fate: dict[bytes, bytes | None] = {}


def forwarded(headers: Headers) -> bytes:
    """Return the header lines that go to the provider, in the client's order."""
    lines = b""
    named: set[bytes] | None = None
    for name, value in headers:
        keep = _request_fate.get(name)
        if keep is None:
            keep = _decide_request(name)
        if keep:
            lines += b"%b: %b\r\n" % (name, value)
        elif name == b"connection" and value.lower() not in (b"keep-alive", b"close"):
            named = {token.strip().lower() for token in value.split(b",")}
    if named:
        kept = [(name, value) for name, value in headers if name not in named and _request_fate.get(name)]
        lines = b"".join(b"%b: %b\r\n" % header for header in kept)
    return lines


def returned(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return the headers that go back to the client, renamed where the plain name is ours."""
    kept = []
    for name, value in headers:
        try:
            new = _response_fate[name]
        except KeyError:
            new = _decide_response(name)
        if new is not None:
            kept.append((new, value))
    return kept


def _decide_request(name: bytes) -> bool:
    keep = name not in _NOT_FORWARDED and not name.startswith(b"x-farthing-")
    if len(_request_fate) < _MAX_NAMES:
        _request_fate[name] = keep
    return keep


def _decide_response(name: bytes) -> bytes | None:
    new: bytes | None = name
    if name in _NOT_RETURNED or name.startswith((b"access-control-", b"x-farthing-", b"cf-")):
        new = None
    elif name in _OURS_ID or name.startswith(_OURS_UPSTREAM):
        new = b"x-upstream-" + name.removeprefix(b"x-")
    if len(_response_fate) < _MAX_NAMES:
        _response_fate[name] = new
    return new
