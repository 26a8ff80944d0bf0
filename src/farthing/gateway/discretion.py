"""Our credential is told to nobody, should a provider repeat it: not to the client, and not to the books.

What a provider says passes here where it comes in, if it may be about the credential: headers, bodies and events that
are errors or cannot be read, and what the ledger keeps of any answer. What a model wrote is not looked through: it may
say anything, and looking would cost every answer something.
"""

from collections.abc import Sequence

import msgspec

from farthing.providers.protocol import Provider
from farthing.wire.meter import Reading

Headers = Sequence[tuple[bytes, bytes]]

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


def discreet_reading(provider: Provider, reading: Reading) -> Reading:
    """Return what an answer said of itself without our credential."""
    if reading.error_message is None and reading.error_code is None:
        model, tier = reading.model_served, reading.service_tier
        last = _last_served.get(provider.name)
        if last is not None and last[1] == model and last[2] == tier and last[0] is provider:
            return reading
        served = f"{model} {tier}".encode("utf-8", "surrogatepass")
        if provider.redacted(served) == served:  # looked at in one go
            _last_served[provider.name] = (provider, model, tier)
            return reading
    words = (reading.error_message, reading.error_code, reading.model_served, reading.service_tier)
    message, code, model, tier = clean = tuple(discreet_text(provider, text) for text in words)
    if clean == words:
        return reading
    return msgspec.structs.replace(
        reading, error_message=message, error_code=code, model_served=model, service_tier=tier
    )
