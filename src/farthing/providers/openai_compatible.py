"""Everything that speaks OpenAI's chat completions: the generic provider, and the vendors that are only a row.

A vendor with behaviour of its own is a file; whoever merely has another address and another key variable is a row here.
`stream_usage` is `ask` where recordings show that the question is taken, `always` where the answer comes unasked.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from farthing.config.schema import ProviderSettings
from farthing.errors import CredentialMissing, NotServed
from farthing.providers.pool import Origin, Timeouts
from farthing.providers.protocol import Credential, Operation
from farthing.types.providers import KnownProvider
from farthing.types.usage import UsageHabits
from farthing.wire.lenient import decode

KNOWN = (
    KnownProvider(
        kind="openai-compatible",
        wire="openai_chat",
        also=("openai_completions", "openai_embeddings", "openai_responses"),
        guessed=("openai_responses",),
        base_url=None,
        credential_env=None,
        stream_usage="ask",
    ),
    KnownProvider(
        kind="groq",
        wire="openai_chat",
        also=("openai_responses",),
        base_url="https://api.groq.com/openai/v1",
        credential_env="GROQ_API_KEY",
        price_key="groq",
    ),
    KnownProvider(
        kind="deepseek",
        wire="openai_chat",
        also=("openai_responses",),
        base_url="https://api.deepseek.com",
        credential_env="DEEPSEEK_API_KEY",
        price_key="deepseek",
        maker=True,
    ),
    KnownProvider(
        kind="mistral",
        wire="openai_chat",
        also=("openai_embeddings",),
        base_url="https://api.mistral.ai/v1",
        credential_env="MISTRAL_API_KEY",
        price_key="mistral",
        maker=True,
        habits=UsageHabits(hidden_in_total="input_audio"),
    ),
    KnownProvider(
        kind="xai",
        wire="openai_chat",
        also=("openai_responses",),
        base_url="https://api.x.ai/v1",
        credential_env="XAI_API_KEY",
        stream_usage="ask",
        price_key="x-ai",
        habits=UsageHabits(reasoning_outside=True),
    ),
    KnownProvider(
        kind="together",
        wire="openai_chat",
        also=("openai_completions", "openai_embeddings"),
        base_url="https://api.together.xyz/v1",
        credential_env="TOGETHER_API_KEY",
        price_key="together",
    ),
    KnownProvider(
        kind="fireworks",
        wire="openai_chat",
        also=("openai_completions", "openai_embeddings", "openai_responses"),
        base_url="https://api.fireworks.ai/inference/v1",
        credential_env="FIREWORKS_API_KEY",
        price_key="fireworks",
    ),
    # Gemini as OpenAI's clients see it; its own format is a file. No variable: the same key would make it twice.
    KnownProvider(
        kind="gemini-openai",
        wire="openai_chat",
        also=("openai_embeddings",),
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        credential_env=None,
        price_key="google",
        foreign=("claude",),
        habits=UsageHabits(hidden_in_total="reasoning"),
        stream_usage="ask",
    ),
    KnownProvider(
        kind="cerebras",
        wire="openai_chat",
        also=("openai_completions",),
        base_url="https://api.cerebras.ai/v1",
        credential_env="CEREBRAS_API_KEY",
        price_key="cerebras",
    ),
    KnownProvider(
        kind="moonshot",
        wire="openai_chat",
        base_url="https://api.moonshot.ai/v1",
        credential_env="MOONSHOT_API_KEY",
        price_key="moonshotai",
    ),
    KnownProvider(
        kind="zai",
        wire="openai_chat",
        base_url="https://api.z.ai/api/paas/v4",
        credential_env="ZAI_API_KEY",
        stream_usage="ask",
        price_key="zai",
    ),
    KnownProvider(
        kind="perplexity",
        wire="openai_chat",
        also=("openai_embeddings", "openai_responses"),
        base_url="https://api.perplexity.ai",
        credential_env="PERPLEXITY_API_KEY",
        price_key="perplexity",
        habits=UsageHabits(reasoning_outside=True),
    ),
    # Its compatibility address refuses `stream_options`, so its streams are never asked for usage.
    KnownProvider(
        kind="cohere",
        wire="openai_chat",
        also=("openai_embeddings",),
        base_url="https://api.cohere.ai/compatibility/v1",
        credential_env="CO_API_KEY",
        price_key="cohere",
    ),
    KnownProvider(
        kind="alibaba",
        wire="openai_chat",
        also=("openai_embeddings",),
        base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        credential_env="DASHSCOPE_API_KEY",
        stream_usage="ask",
    ),
    # Its prices are those of whoever it routes to, which the answer does not say.
    KnownProvider(
        kind="huggingface",
        wire="openai_chat",
        also=("openai_responses",),
        base_url="https://router.huggingface.co/v1",
        credential_env="HF_TOKEN",
        stream_usage="ask",
    ),
    KnownProvider(
        kind="baseten",
        wire="openai_chat",
        base_url="https://inference.baseten.co/v1",
        credential_env="BASETEN_API_KEY",
        stream_usage="ask",
        price_key="baseten",
    ),
    # Reasoning is outside output and total, and billed: 39 recorded costs say so. No price list has it.
    KnownProvider(
        kind="vercel-gateway",
        wire="openai_chat",
        also=("openai_embeddings", "openai_responses"),
        base_url="https://ai-gateway.vercel.sh/v1",
        credential_env="AI_GATEWAY_API_KEY",
        stream_usage="ask",
        habits=UsageHabits(reasoning_outside=True),
    ),
    KnownProvider(
        kind="llamacpp",
        wire="openai_chat",
        also=("openai_completions", "openai_embeddings", "openai_responses"),
        guessed=("openai_responses",),
        base_url="http://127.0.0.1:8080/v1",
        credential_env=None,
        stream_usage="ask",
        free=True,
    ),
    KnownProvider(
        kind="vllm",
        wire="openai_chat",
        also=("openai_completions", "openai_embeddings", "openai_responses"),
        guessed=("openai_responses",),
        base_url="http://127.0.0.1:8000/v1",
        credential_env=None,
        stream_usage="ask",
        free=True,
    ),
    KnownProvider(
        kind="lmstudio",
        wire="openai_chat",
        also=("openai_completions", "openai_embeddings", "openai_responses"),
        guessed=("openai_responses",),
        base_url="http://127.0.0.1:1234/v1",
        credential_env=None,
        stream_usage="ask",
        free=True,
    ),
)


class ModelRow(msgspec.Struct, gc=False):
    """A model in a provider's list; nothing in it is believed yet."""

    id: Any = None
    name: Any = None
    supportedGenerationMethods: Any = None  # noqa: N815 - Google's name

    @property
    def called(self) -> str:
        """What it is asked for by; empty where the row does not say."""
        found = self.name if self.id is None else self.id
        return found if isinstance(found, str) else ""


class _List(msgspec.Struct, gc=False):
    data: list[ModelRow] | msgspec.UnsetType | None = msgspec.UNSET
    models: list[ModelRow] | msgspec.UnsetType | None = msgspec.UNSET  # Google's and Ollama's


_lists = msgspec.json.Decoder(_List | list[ModelRow])  # Together's list is bare


def model_rows(body: bytes) -> list[ModelRow]:
    """Return the rows of a list of models in anybody's shape; raises `UNREADABLE` errors where it is none.

    llama.cpp sends its list in two shapes at once, and an Ollama without models once sent null.
    """
    listed: _List | list[ModelRow] | None = decode(_lists, body)
    if isinstance(listed, _List):
        rows = listed.models if listed.data is msgspec.UNSET else listed.data
        if rows is not msgspec.UNSET:
            return rows or []
    elif listed is not None:
        return listed
    raise ValueError("it has no list of models")


PATHS: dict[Operation, tuple[bytes, bytes]] = {
    "chat.completions": (b"POST", b"/chat/completions"),
    "responses": (b"POST", b"/responses"),
    "completions": (b"POST", b"/completions"),
    "embeddings": (b"POST", b"/embeddings"),
    "models": (b"GET", b"/models"),
}


_ODD_PATHS: Mapping[str, dict[Operation, tuple[bytes, bytes]]] = {
    "perplexity": {
        "chat.completions": (b"POST", b"/chat/completions"),
        "responses": (b"POST", b"/v1/responses"),
        "embeddings": (b"POST", b"/v1/embeddings"),
        "models": (b"GET", b"/v1/models"),
    }
}
"""Rows whose paths do not all stand behind one base address."""


LEAST_SECRET_BYTES = 8
"""Shorter credentials are words such as `none` or `x` that local servers are given; the shortest real key has 32
characters. Taking an `x` out of every name and message would spoil what it should protect."""


_WAYS_OUT = {
    "file": "the operator puts it there; Farthing reads it again on SIGHUP",
    "vault": 'the operator mends that ("farthing credentials list"); Farthing takes it up within a second',
}


class OpenAICompatible:
    """A provider whose paths follow its base address and whose key is a bearer token."""

    def __init__(
        self,
        settings: ProviderSettings,
        known: KnownProvider,
        credential: Credential,
        *,
        paths: dict[Operation, tuple[bytes, bytes]] = PATHS,
        credential_header: bytes = b"authorization: Bearer %b\r\n",
        base_path_suffix: str = "",
    ) -> None:
        self.name = settings.name
        self.known = known
        self.free = settings.free
        self.hold_s = settings.hold_s
        self.asks_for_usage = settings.stream_usage == "ask"
        address = urlsplit(settings.base_url)
        self.origin = Origin.at(settings.base_url, settings.ca_file)
        self.timeouts = Timeouts(
            connect_s=settings.timeouts.connect_s,
            first_byte_s=settings.timeouts.first_byte_s,
            idle_s=settings.timeouts.idle_s,
            total_s=settings.timeouts.total_s,
        )
        self._missing = credential.missing
        self._way_out = _WAYS_OUT.get(settings.credential.kind, "the operator sets it and starts Farthing again")
        self._escaped_secret: re.Pattern[bytes] | None = None
        self._secret = b"" if credential.secret is None else credential.secret.reveal().encode()
        always = b"host: %b\r\naccept-encoding: identity\r\n" % address.netloc.encode()
        if credential.secret is not None:
            always += credential_header % self._secret
        base_path = address.path.rstrip("/").encode() + base_path_suffix.encode()
        self._starts = {
            operation: (method + b" " + base_path + path, b" HTTP/1.1\r\n" + always)
            for operation, (method, path) in paths.items()
        }

    def request_head(
        self, operation: Operation, query: bytes, headers: bytes, body_bytes: int, model: str = ""
    ) -> bytes:
        """See `Provider.request_head`; a path with a place for the model gets its name there."""
        if self._missing is not None:
            error = CredentialMissing(
                f"provider '{self.name}' has no credential: {self._missing}",
                hint=self._way_out,
            )
            error.public = f"provider '{self.name}' has no credential: {_without_files(self._missing)}"
            raise error
        try:
            start, always = self._starts[operation]
        except KeyError:
            raise NotServed(f"provider '{self.name}' has no {operation}") from None
        if b"{model}" in start:
            start = start.replace(b"{model}", quote(model, safe="").encode())
        if query:
            start = b"%b?%b" % (start, query)
        if body_bytes:
            return b"%b%b%bcontent-length: %d\r\n\r\n" % (start, always, headers, body_bytes)
        return b"%b%b%b\r\n" % (start, always, headers)

    def model_names(self, body: bytes) -> list[str]:
        """See `Provider.model_names`."""
        return [row.called for row in model_rows(body) if row.called]

    def next_page(self, body: bytes) -> bytes:  # noqa: ARG002 - here a list has one page
        """See `Provider.next_page`."""
        return b""

    def redacted(self, body: bytes) -> bytes:
        """See `Provider.redacted`; also where it is written with JSON's escapes, or in JSON inside of JSON."""
        if len(self._secret) < LEAST_SECRET_BYTES:
            return body
        body = body.replace(self._secret, b"***")
        if b"\\" in body:
            if self._escaped_secret is None:
                escapes = [
                    rb"(?:\\{0,8}%b|\\{1,8}u(?i:00%02x))" % (re.escape(bytes((one,))), one) for one in self._secret
                ]
                self._escaped_secret = re.compile(b"".join(escapes))
            body = self._escaped_secret.sub(b"***", body)
        return body


def create(settings: ProviderSettings, known: KnownProvider, credential: Credential) -> OpenAICompatible:
    """Return the provider that `settings` describe."""
    return OpenAICompatible(settings, known, credential, paths=_ODD_PATHS.get(known.kind, PATHS))


def _without_files(missing: str) -> str:
    """Return for clients why a credential is missing: as far as no file is named."""
    first = missing if "/" not in missing else missing.partition(":")[0]
    return "what holds it cannot be read" if "/" in first else first
