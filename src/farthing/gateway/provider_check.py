"""Ask a provider for its list of models, to see whether it can be reached and takes our credential.

A list costs nothing anywhere, and nearly everybody has one. What surprised us: some show it to anybody, so that a list
proves the way there and not the credential; and a bad key is answered with 400 by xAI and Gemini, not 401.
"""

import asyncio
from typing import Literal

import msgspec

from farthing.clock import Clock
from farthing.errors import CredentialMissing, FarthingError, NotServed
from farthing.gateway.live_models import ModelList, ask_for_models
from farthing.providers.error_mapping import read_error
from farthing.providers.pool import Connect, Pool, PoolLimits, Timeouts
from farthing.providers.protocol import Provider

ASK_S = 10.0
"""A provider that needs longer to list its models is down for whoever waits."""
_TIMEOUTS = Timeouts(connect_s=ASK_S, first_byte_s=ASK_S, idle_s=ASK_S, total_s=ASK_S)

Who = Literal["nobody", "operator", "provider"]
"""Whose move it is."""


class ProviderCheck(msgspec.Struct, frozen=True, kw_only=True):
    """How a provider answered; `reason` says why it is not `ok`, and `who` must act on it."""

    name: str
    ok: bool
    who: Who = "nobody"
    latency_ms: int | None = None
    http_status: int | None = None
    models: int | None = None
    reason: str | None = None
    hint: str | None = None


async def check_provider(provider: Provider, connect: Connect, clock: Clock) -> ProviderCheck:
    """Ask one provider, once; never raises for what the provider or the way to it does."""
    pool = Pool(connect=connect, limits=PoolLimits(max_connections=1))
    began = clock.monotonic()
    try:
        async with asyncio.timeout(ASK_S):
            listed = await ask_for_models(provider, pool, _TIMEOUTS)
    except NotServed:
        reason, hint = "it has no list of models, so it was not asked", "make a call to see whether it answers"
        return ProviderCheck(name=provider.name, ok=False, who="operator", reason=reason, hint=hint)
    except CredentialMissing as error:
        return ProviderCheck(name=provider.name, ok=False, who="operator", reason=error.message, hint=error.hint)
    except FarthingError as error:
        hint = error.hint or "check base_url and the network between"
        return ProviderCheck(name=provider.name, ok=False, who="operator", reason=error.message, hint=hint)
    except TimeoutError:
        reason = f"no answer within {ASK_S:.0f} s"
        return ProviderCheck(name=provider.name, ok=False, who="provider", reason=reason, hint="try again later")
    finally:
        await pool.close()
    latency_ms = round((clock.monotonic() - began) * 1_000)
    return _verdict(provider, listed, latency_ms)


def _verdict(provider: Provider, listed: ModelList, latency_ms: int) -> ProviderCheck:
    status = listed.status
    models = None if listed.names is None else len(listed.names)
    who: Who = "operator"
    if models is not None:
        return ProviderCheck(name=provider.name, ok=True, latency_ms=latency_ms, http_status=status, models=models)
    if status == 200:
        reason, hint = "it answers, but not with a list of models", "check that base_url ends where the API begins"
    elif 300 <= status < 400:
        reason, hint = f"it redirects ({status}), which is not followed", "set base_url to where it redirects to"
    else:
        error = read_error(provider.known.wire, status, provider.redacted(listed.body))
        reason = f"{status}: {error.message}"
        if status in (401, 403):
            hint = "check the credential: it is refused"
        elif status == 404:
            hint = "check that base_url ends where the API begins; some servers have no list of models"
        elif status == 429 or status >= 500:
            who, hint = "provider", "try again later"
        else:
            hint = "check credential and base_url"
    return ProviderCheck(
        name=provider.name, ok=False, who=who, latency_ms=latency_ms, http_status=status, reason=reason, hint=hint
    )
