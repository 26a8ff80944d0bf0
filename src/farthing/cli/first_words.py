"""What a start tells: whom it calls, and the first time a client key, the admin link, and how clients are pointed here.

The key and the link are said once: later starts find them in the store, and neither can be shown again. What is printed
is meant to be copied: addresses are those that clients reach, commands are spelled as they work where the gateway was
started. Lines end within 80 columns, but for those that hold a key behind an address.
"""

import os
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

from farthing.cli.audit import begin, end
from farthing.cli.context import command_for
from farthing.providers.registry import known_providers
from farthing.server.admin.token import ENVIRONMENT, chosen_token, has_admin_token, new_admin_token
from farthing.types.providers import WireFormat

if TYPE_CHECKING:
    from farthing.app import Farthing
    from farthing.config.schema import ProviderSettings

_WELL_KNOWN = ("openai", "anthropic", "gemini", "openrouter")
"""Whose key most people have; the other variables would fill the screen."""

_WIDTH = 80

_SNIPPETS = """
Your client key, shown this once; its name is {name}:

{key}

Point a client at it:

# OpenAI SDKs, aider, LangChain and everything that speaks OpenAI
export OPENAI_BASE_URL={url}/v1
export OPENAI_API_KEY={key}
{more}
# a coding agent, with a key of its own: claude, codex, gemini, aider, opencode
{farthing} run claude

# anything that cannot send a header
{url}/k/{key}/v1

# try it
{attempt}

The admin's page, by this link only:

{link}

Then, in another terminal:

{farthing} costs
{farthing} calls
{farthing} keys create NAME
{farthing} budget set daily --usd 20 --period day
"""
_FOR_FORMATS: Mapping[WireFormat, str] = {
    "anthropic_messages": """
# Anthropic SDKs, Claude Code
export ANTHROPIC_BASE_URL={url}
export ANTHROPIC_AUTH_TOKEN={key}
""",
    "gemini": """
# Google Gen AI SDKs, Gemini CLI
export GOOGLE_GEMINI_BASE_URL={url}
export GEMINI_API_KEY={key}
""",
    "ollama": """
# Ollama's own clients
export OLLAMA_HOST={url}/k/{key}
""",
}
"""For clients of other formats: each reaches every model."""
_ATTEMPTS: Mapping[WireFormat, str] = {
    "openai_chat": """\
curl {url}/v1/chat/completions \\
  -H "Authorization: Bearer {key}" \\
  -H "Content-Type: application/json" \\
  -d '{{"model": "{model}",
       "messages": [{{"role": "user", "content": "Say hello"}}]}}'""",
    "anthropic_messages": """\
curl {url}/v1/messages \\
  -H "x-api-key: {key}" \\
  -H "anthropic-version: 2023-06-01" -H "Content-Type: application/json" \\
  -d '{{"model": "{model}", "max_tokens": 100,
       "messages": [{{"role": "user", "content": "Say hello"}}]}}'""",
    "gemini": """\
curl {url}/v1beta/models/{model}:generateContent \\
  -H "x-goog-api-key: {key}" \\
  -H "Content-Type: application/json" \\
  -d '{{"contents": [{{"role": "user", "parts": [{{"text": "Say hello"}}]}}]}}'""",
}
_CHEAP = {
    "openai": "gpt-5-mini",
    "anthropic": "claude-haiku-4-5",
    "gemini": "gemini-2.5-flash",
    "openrouter": "openai/gpt-5-mini",
    "groq": "openai/gpt-oss-20b",
    "mistral": "mistral-small-latest",
    "deepseek": "deepseek-chat",
}
"""A model for the first try, by the provider's kind; the first that is there is taken."""


async def first_words(farthing: "Farthing", url: str) -> list[str]:
    """Make what a new home needs, and return the lines to print; empty for a home that has it."""
    if not await farthing.store.changed_keys(0, 1):  # deleted ones count too: then somebody wants no key
        line = await begin(farthing.store)
        record, secret = await farthing.keys.create()
        await end(farthing.store, line, "done", record, subject=record.id)
        return _snippets(farthing, url, secret.reveal(), record.name)
    if not has_admin_token(farthing.home) and chosen_token(os.environ) is None:
        return [f"The admin's page: {_new_link(farthing, url)}"]
    return []


def whom_it_calls(
    providers: Mapping[str, "ProviderSettings"], environment: Mapping[str, str], *, is_new: bool
) -> list[str]:
    """Return which providers there are, each with its key; for a new home also which well-known keys are missing."""
    lines = []
    if providers:
        told = ", ".join(f"{name} ({_way(provider, environment)})" for name, provider in providers.items())
        lines += textwrap.wrap(f"providers: {told}", _WIDTH, subsequent_indent="  ", break_long_words=False)
    if is_new:
        known = known_providers()
        unset = [kind for kind, row in known.items() if row.credential_env and kind not in providers]
        first = [str(known[kind].credential_env) for kind in _WELL_KNOWN if kind in unset]
        more = len(unset) - len(first)
        told = ", ".join([*first, f"and {more} more (docs/settings.md)"] if more else first)
        lines += textwrap.wrap(f"keys not set: {told}", _WIDTH, subsequent_indent="  ", break_long_words=False)
    return lines


def _way(provider: "ProviderSettings", environment: Mapping[str, str]) -> str:
    if provider.credentials:
        return ", ".join(str(share.source) for share in provider.credentials)
    source = provider.credential
    if source.kind == "none":
        return provider.base_url
    if source.kind == "vault":
        return str(source)
    missing = source.kind == "env" and not environment.get(source.name, "").strip()
    return f"{source.name} is not set" if missing else source.name


def _snippets(farthing: "Farthing", url: str, key: str, name: str) -> list[str]:
    more = [text.format(url=url, key=key) for text in _FOR_FORMATS.values()]
    model, wire = _example(farthing)
    told = _SNIPPETS.format(
        key=key,
        url=url,
        name=name,
        more="".join(more),
        attempt=_ATTEMPTS[wire].format(url=url, key=key, model=model),
        link=_new_link(farthing, url),
        farthing=command_for(farthing.home),
    )
    return told.splitlines()


def _new_link(farthing: "Farthing", url: str) -> str:
    if chosen_token(os.environ) is not None:
        return f"{url}/admin/login?token=... with the token in {ENVIRONMENT}"
    token = new_admin_token(farthing.home, farthing.pepper, farthing.random_bytes)
    return f"{url}/admin/login?token={token.reveal()}"


def _example(farthing: "Farthing") -> tuple[str, WireFormat]:
    """Return a model that this installation can reach, and the format to ask for it in; an alias first, then cheap."""
    settings = farthing.settings
    for alias, ref in settings.models.items():
        wire = settings.providers[ref.provider].wire
        return alias, wire if wire in _ATTEMPTS else "openai_chat"
    by_kind = {provider.kind: provider for provider in settings.providers.values()}
    for kind, model in _CHEAP.items():
        if kind in by_kind:
            provider = by_kind[kind]
            # The path of Gemini's format takes a name and no prefix.
            return (model if provider.wire == "gemini" else f"{provider.name}:{model}"), provider.wire
    return f"{next(iter(settings.providers), 'PROVIDER')}:MODEL", "openai_chat"
