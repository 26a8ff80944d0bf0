"""Our credential is told to nobody, should a provider repeat it: not to the client, and not to the books.

What a provider says passes here where it comes in, if it may be about the credential: headers, bodies and events that
are errors or cannot be read, and what the ledger keeps of any answer. What a model wrote is not looked through: it may
say anything, and looking would cost every answer something.
"""

from collections.abc import Sequence

import msgspec

from farthing.errors import FarthingError
from farthing.providers.protocol import Provider
from farthing.wire.error_words import MAX_TEXT
from farthing.wire.meter import Reading

Headers = Sequence[tuple[bytes, bytes]]

MAX_NAME = 200
"""Characters of a served model's name or an error's code that are kept; the longest listed name has 94."""

_last_served: dict[str, tuple[Provider, str | None, str | None]] = {}
"""What each provider said last of what served, found to be clean: one for each, and nearly always said again."""


def discreet_headers(provider: Provider, headers: Headers) -> Headers:
    """Return a provider's headers without our credential; they are looked through all at once."""
    values = b"\n".join([value for _, value in headers])
    clean = provider.redacted(values)
    if clean == values:
        return headers
    return [(name, value) for (name, _), value in zip(headers, clean.split(b"\n"), strict=True)]


def discreet_lines(provider: Provider, lines: list[bytes]) -> list[bytes]:
    """Return the lines of a head without our credential; they are looked through all at once, too."""
    joined = b"\n".join(lines)
    clean = provider.redacted(joined)
    return lines if clean == joined else clean.split(b"\n")


def discreet_text(provider: Provider, text: str | None) -> str | None:
    """Return a provider's words without our credential."""
    if not text:
        return text
    said = text.encode("utf-8", "surrogatepass")
    clean = provider.redacted(said)
    return text if clean == said else clean.decode("utf-8", "replace")


def make_discreet(provider: Provider, error: FarthingError) -> None:
    """Take our credential out of what an error says to the operator and to the client: it may quote the provider."""
    error.message = discreet_text(provider, error.message) or ""
    error.public = discreet_text(provider, error.public) or ""


def kept_reading(provider: Provider, reading: Reading) -> Reading:
    """Return what an answer said of itself without our credential, and no longer than it is kept."""
    model, tier = reading.model_served, reading.service_tier
    plain = reading.error_message is None and reading.error_code is None
    if plain:
        last = _last_served.get(provider.name)
        if last is not None and last[1] == model and last[2] == tier and last[0] is provider:
            return reading
    words = (reading.error_message, reading.error_code, model, tier)
    message, code, model, tier = (discreet_text(provider, text) for text in words)
    clean = (
        None if message is None else message[:MAX_TEXT],
        None if code is None else code[:MAX_NAME],
        None if model is None else model[:MAX_NAME],
        None if tier is None else tier[:MAX_NAME],
    )
    if clean == words:
        if plain:
            _last_served[provider.name] = (provider, model, tier)
        return reading
    message, code, model, tier = clean
    return msgspec.structs.replace(
        reading, error_message=message, error_code=code, model_served=model, service_tier=tier
    )
