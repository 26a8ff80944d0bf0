"""Our credential is found in a provider's words however JSON may write it, and in time."""

import json
import time

import pytest

from farthing.config.schema import CredentialSource, ProviderSettings
from farthing.providers.protocol import Credential, Provider
from farthing.providers.registry import create_provider, known_providers
from farthing.types.secret import Secret

SECRET = 'sk-a/b"c\\d.e+f'


def provider(secret: str | None = SECRET) -> Provider:
    known = known_providers()["openai"]
    settings = ProviderSettings(
        name="up",
        kind="openai",
        wire=known.wire,
        base_url=known.base_url or "",
        credential=CredentialSource("none"),
        stream_usage=known.stream_usage,
    )
    return create_provider(settings, Credential(secret=None if secret is None else Secret(secret)))


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(letter):04X}" for letter in text)


@pytest.mark.parametrize(
    "said",
    [
        SECRET,
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET)[1:-1].replace("/", "\\/"),
        escaped(SECRET),
        escaped(SECRET).lower(),
        "s" + escaped(SECRET[1:]),
        json.dumps(json.dumps(SECRET))[3:-3],
        json.dumps(json.dumps(json.dumps(SECRET)))[7:-7],
        json.dumps(escaped(SECRET))[1:-1],
    ],
)
def test_it_is_found_however_it_is_written(said: str) -> None:
    assert provider().redacted(f'{{"error":"bad key {said}, twice: {said}"}}'.encode()) == (
        b'{"error":"bad key ***, twice: ***"}'
    )


def test_what_is_no_secret_stays() -> None:
    words = json.dumps({"error": 'sk-a/b\\ is "another" \u00e9'}).encode()
    assert provider().redacted(words) == words
    assert provider(None).redacted(SECRET.encode()) == SECRET.encode()


@pytest.mark.parametrize("piece", [b"\\", b"\\u0073", b"s\\", b"sk-a\\/"])
def test_no_body_keeps_everybody_waiting(piece: bytes) -> None:
    began = time.perf_counter()
    provider().redacted(piece * ((1 << 20) // len(piece)))
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize("word", ["x", "sk", "none", "EMPTY"])
def test_a_word_that_a_local_server_takes_for_a_key_spoils_no_name(word: str) -> None:
    said = f"req_ac{word}xACs of gpt-x".encode()
    assert provider(word).redacted(said) == said
