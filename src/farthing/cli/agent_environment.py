"""The environment that an agent is started with: the user's, without anything that leads past the gateway.

A provider's key left in it would be used by an agent that knows that provider, and its calls be in no ledger.
"""

from collections.abc import Collection, Mapping

from farthing.providers.registry import known_providers

_MORE_CREDENTIALS = frozenset(
    {
        "ANTHROPIC_AUTH_TOKEN",
        "ANTHROPIC_CUSTOM_HEADERS",
        "AWS_BEARER_TOKEN_BEDROCK",
        "AZURE_API_KEY",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "CLAUDE_CODE_USE_BEDROCK",
        "CLAUDE_CODE_USE_FOUNDRY",
        "CLAUDE_CODE_USE_VERTEX",
        "CODEX_API_KEY",
        "COHERE_API_KEY",
        "GOOGLE_GENAI_USE_GCA",
        "GOOGLE_GENAI_USE_VERTEXAI",
        "OLLAMA_API_KEY",
        "OPENAI_ORGANIZATION",
        "OPENAI_ORG_ID",
        "OPENAI_PROJECT",
    }
)
_ADDRESSES = frozenset(
    {
        "ANTHROPIC_API_BASE",
        "ANTHROPIC_BASE_URL",
        "GEMINI_API_BASE",
        "GOOGLE_GEMINI_BASE_URL",
        "GOOGLE_VERTEX_BASE_URL",
        "OLLAMA_API_BASE",
        "OLLAMA_HOST",
        "OPENAI_API_BASE",
        "OPENAI_BASE_URL",
    }
)


def without_providers(environment: Mapping[str, str], kept: Collection[str] = ()) -> dict[str, str]:
    """Return the environment without providers' keys and addresses, but for those that are to be `kept`."""
    taken = taken_out(environment, kept)
    return {name: value for name, value in environment.items() if name not in taken}


def taken_out(environment: Mapping[str, str], kept: Collection[str] = ()) -> list[str]:
    """Return the names that are taken out, in order."""
    keys = {
        name for row in known_providers().values() for name in (row.credential_env, row.credential_env_first) if name
    }
    return sorted(name for name in (keys | _MORE_CREDENTIALS | _ADDRESSES) - set(kept) if name in environment)


def past_proxies(environment: Mapping[str, str], host: str) -> dict[str, str]:
    """Return what keeps an agent from sending the gateway's calls through a proxy; nothing where there is none."""
    if not any(name.lower() in {"http_proxy", "all_proxy", "https_proxy"} for name in environment):
        return {}
    found = {name: environment[name] for name in ("NO_PROXY", "no_proxy") if environment.get(name)}
    hosts = next(iter(found.values()), "")
    told = hosts if host in hosts.split(",") else ",".join(filter(None, (hosts, host)))
    return dict.fromkeys(("NO_PROXY", "no_proxy"), told)
