"""What the first start tells: a client key, the admin link, and a snippet for each kind of client. Said once.

Later starts find the keys in the store and say nothing: neither the key nor the token can be shown again.
"""

from typing import TYPE_CHECKING

from farthing.server.admin.token import has_admin_token, new_admin_token

if TYPE_CHECKING:
    from farthing.app import Farthing
    from farthing.config.schema import ServerSettings

_SNIPPETS = """
Your client key, shown this once:

    {key}

Point a client at it:

    # OpenAI SDKs, aider, LangChain and everything that speaks OpenAI
    export OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY={key}

    # Anthropic SDKs, Claude Code
    export ANTHROPIC_BASE_URL={url} ANTHROPIC_AUTH_TOKEN={key}

    # Ollama's own clients, for the models of an Ollama
    export OLLAMA_HOST={url}/k/{key}

    # anything that cannot send a header
    {url}/k/{key}/v1

    # try it
    curl {url}/v1/chat/completions -H "Authorization: Bearer {key}" \\
      -H "Content-Type: application/json" \\
      -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Say hello"}}]}}'

The admin's page, by this link only:

    {url}/admin/login?token={token}

Then: farthing costs, farthing calls, farthing keys create NAME.
"""


async def first_words(farthing: "Farthing", server: "ServerSettings") -> list[str]:
    """Make what a new home needs, and return the lines to print; empty for a home that has it."""
    url = server.public_url or f"http://{f'[{server.host}]' if ':' in server.host else server.host}:{server.port}"
    if not await farthing.store.keys():
        _, secret = await farthing.keys.create()
        key = secret.reveal()
        token = new_admin_token(farthing.home, farthing.pepper, farthing.random_bytes).reveal()
        return _SNIPPETS.format(key=key, url=url, token=token, model=_example_model(farthing)).splitlines()
    if not has_admin_token(farthing.home):
        token = new_admin_token(farthing.home, farthing.pepper, farthing.random_bytes).reveal()
        return [f"The admin's page: {url}/admin/login?token={token}"]
    return []


def _example_model(farthing: "Farthing") -> str:
    """Return a model that this installation can reach; cheap ones first."""
    for alias in farthing.settings.models:
        return alias
    for provider, model in (
        ("openai", "gpt-5-mini"),
        ("groq", "openai/gpt-oss-20b"),
        ("mistral", "mistral-small-latest"),
    ):
        if provider in farthing.providers:
            return f"{provider}:{model}"
    return "ollama:MODEL" if "ollama" in farthing.providers else "PROVIDER:MODEL"
