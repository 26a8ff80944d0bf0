"""OpenRouter: everybody's models behind one key, and two headers that say whose traffic it is.

Its rankings count calls by `HTTP-Referer` and `X-Title`; we send them only where the settings say so, and a client's
own win. What surprised us: it keeps connections warm with white space before a JSON body and with comments before
events, may answer 200 with an error inside, and reports the cost of every answer without being asked.
"""

from farthing.config.schema import ProviderSettings
from farthing.providers.openai_compatible import OpenAICompatible
from farthing.providers.protocol import Credential, Operation
from farthing.types.providers import KnownProvider

KNOWN = (
    KnownProvider(
        kind="openrouter",
        wire="openai_chat",
        also=("openai_responses", "openai_completions", "openai_embeddings"),
        base_url="https://openrouter.ai/api/v1",
        credential_env="OPENROUTER_API_KEY",
        price_key="openrouter",
    ),
)


class OpenRouter(OpenAICompatible):
    """A configured OpenRouter."""

    def __init__(self, settings: ProviderSettings, known: KnownProvider, credential: Credential) -> None:
        super().__init__(settings, known, credential)
        said = settings.attribution
        named = ((b"http-referer: ", said.url), (b"x-title: ", said.title))
        self._attribution = [(name, name + value.encode() + b"\r\n") for name, value in named if value is not None]

    def request_head(
        self, operation: Operation, query: bytes, headers: bytes, body_bytes: int, model: str = ""
    ) -> bytes:
        """See `Provider.request_head`; with the attribution that the client does not give itself."""
        for name, line in self._attribution:
            if name not in headers:
                headers += line
        return super().request_head(operation, query, headers, body_bytes, model)


def create(settings: ProviderSettings, known: KnownProvider, credential: Credential) -> OpenRouter:
    """Return the provider that `settings` describe."""
    return OpenRouter(settings, known, credential)
