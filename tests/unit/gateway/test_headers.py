import pytest

from farthing.gateway import headers as policy
from farthing.gateway.headers import RequestHeaders


def forwarded(headers: list[tuple[bytes, bytes]]) -> bytes:
    return RequestHeaders(headers, dict(headers)).lines


def returned(headers: list[tuple[bytes, bytes]]) -> tuple[list[bytes], str | None]:
    return policy.returned(headers, dict(headers))


@pytest.mark.parametrize(
    "name",
    [
        b"authorization",
        b"x-api-key",
        b"x-goog-api-key",
        b"api-key",
        b"cookie",
        b"x-forwarded-for",
        b"forwarded",
        b"via",
        b"host",
        b"connection",
        b"te",
        b"transfer-encoding",
        b"content-length",
        b"accept-encoding",
        b"x-farthing-project",
        b"x-farthing-anything",
    ],
)
def test_credentials_hops_cookies_and_our_own_headers_stay_here(name: bytes) -> None:
    assert forwarded([(name, b"secret"), (b"accept", b"*/*")]) == b"accept: */*\r\n"


def test_everything_else_goes_on_in_order_and_byte_for_byte() -> None:
    headers = [
        (b"anthropic-beta", b"a-2025,b-2026"),
        (b"user-agent", b"Client/1.0"),
        (b"x-stainless-os", b"Linux"),
        (b"anthropic-beta", b"c"),
        (b"traceparent", b"00-aa-bb-01"),
    ]
    assert forwarded(headers) == b"".join(b"%b: %b\r\n" % header for header in headers)


def test_what_the_connection_header_names_is_for_this_hop_only() -> None:
    headers = [(b"connection", b"keep-alive, X-Hop"), (b"x-hop", b"1"), (b"accept", b"a")]
    assert forwarded(headers) == b"accept: a\r\n"


def test_the_providers_limits_and_request_id_come_back_under_other_names() -> None:
    assert returned(
        [
            (b"x-ratelimit-remaining-tokens", b"9"),
            (b"anthropic-ratelimit-requests-limit", b"8"),
            (b"x-request-id", b"req_1"),
            (b"request-id", b"req_2"),
            (b"retry-after", b"3"),
            (b"openai-processing-ms", b"12"),
        ]
    ) == (
        [
            b"x-upstream-ratelimit-remaining-tokens: 9",
            b"x-upstream-anthropic-ratelimit-requests-limit: 8",
            b"x-upstream-request-id: req_1",
            b"x-upstream-request-id: req_2",
            b"retry-after: 3",
            b"openai-processing-ms: 12",
        ],
        "req_2",
    )


@pytest.mark.parametrize(
    "name",
    [
        b"set-cookie",
        b"server",
        b"date",
        b"content-length",
        b"transfer-encoding",
        b"access-control-allow-origin",
        b"cf-ray",
    ],
)
def test_what_describes_the_providers_server_does_not_come_back(name: bytes) -> None:
    assert returned([(name, b"x"), (b"content-type", b"text/plain")])[0] == [b"content-type: text/plain"]


def test_what_is_remembered_of_header_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "_request_fate", {})
    monkeypatch.setattr(policy, "_response_fate", {})
    for n in range(policy._MAX_NAMES + 50):
        forwarded([(b"x-%d" % n, b"")])
        returned([(b"x-%d" % n, b"")])
    assert len(policy._request_fate) == len(policy._response_fate) == policy._MAX_NAMES
    assert forwarded([(b"x-new", b"1"), (b"cookie", b"2")]) == b"x-new: 1\r\n"
