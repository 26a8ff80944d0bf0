"""Better advice for a provider that did not answer as one: the two slips that everybody makes with an address.

One leaves out the `/v1`, the other says http to a port that speaks TLS, or https to one that does not. What a server
answers then is anything (404, 400 in prose, silence, a reset), so we try the other way and see. A credential goes only
where it was meant to go: to the same origin, and to the same kind of connection.
"""

import asyncio
import ssl
from urllib.parse import urlsplit

import msgspec

from farthing.clock import Clock
from farthing.config.schema import ProviderSettings
from farthing.gateway.provider_check import ProviderCheck, check_provider
from farthing.providers.pool import Connect
from farthing.providers.protocol import Credential
from farthing.providers.registry import create_provider

_TRY_S = 2.0
"""The server has just been spoken to, so it is near or quick."""
_ANSWER_BYTES = 4096
"""A head and the beginning of a page."""


async def advised(
    check: ProviderCheck, settings: ProviderSettings, credential: Credential, connect: Connect, clock: Clock
) -> ProviderCheck:
    """Return the check, with the address in its hint where another one would have worked."""
    if check.ok or credential.missing is not None:
        return check
    if check.http_status in (401, 403) and settings.credential.kind != "none":
        return _operators(check, check.reason, f"check the credential, {settings.credential}: it is refused")
    parts = urlsplit(settings.base_url)
    # Some that expect TLS answer plain HTTP with 400 and a sentence about HTTPS; the others close or reset.
    suspicious = check.http_status is None or (check.http_status == 400 and "HTTPS" in (check.reason or ""))
    if suspicious and await _speaks_the_other(parts.scheme, parts.hostname or "", parts.port):
        other = "http" if parts.scheme == "https" else "https"
        meant = "plain HTTP, and no TLS" if other == "http" else "TLS"
        url = settings.base_url.replace(parts.scheme, other, 1)
        reason = f"{settings.base_url} cannot be used: that port speaks {meant}"
        return _operators(check, reason, f"set base_url to {url}")
    if check.http_status in (404, 405) and not parts.path:
        longer = msgspec.structs.replace(settings, base_url=f"{settings.base_url}/v1")
        if (await check_provider(create_provider(longer, credential), connect, clock)).ok:
            return _operators(check, check.reason, f"set base_url to {longer.base_url}: there it answers")
    if check.http_status is None and "billed" in (check.hint or ""):  # a call might have been; a list never is
        return _operators(check, check.reason, "check that base_url is an API: what listens there does not answer")
    return check


def _operators(check: ProviderCheck, reason: str | None, hint: str) -> ProviderCheck:
    return msgspec.structs.replace(check, who="operator", reason=reason, hint=hint)


async def _speaks_the_other(scheme: str, host: str, port: int | None) -> bool:
    """Whether a server that was called by one scheme speaks the other one; nothing of ours is sent."""
    try:
        async with asyncio.timeout(_TRY_S):
            if scheme == "http":
                return await _speaks_tls(host, port or 80)
            return await _speaks_plainly(host, port or 443)
    except (OSError, TimeoutError):
        return False


async def _speaks_tls(host: str, port: int) -> bool:
    # Who it is does not matter here: no more than the handshake is made.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _, writer = await asyncio.open_connection(host, port, ssl=context)
    writer.transport.abort()
    return True


async def _speaks_plainly(host: str, port: int) -> bool:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"GET / HTTP/1.0\r\nHost: %b\r\n\r\n" % host.encode())
        answer = await reader.read(_ANSWER_BYTES)
    finally:
        writer.transport.abort()
    # A server that expects TLS may say so in plain HTTP, as nginx does.
    return answer.startswith(b"HTTP/1.") and b"HTTPS" not in answer
