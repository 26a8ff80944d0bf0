"""Google's Gemini API: the model is in the path, the key in a header of its own.

Tuned models have a path of their own (`tunedModels/x`), and the list of models is paged and holds many that only make
pictures or films, which nothing here can ask.
"""

from urllib.parse import quote, unquote_plus

import msgspec

from farthing.config.schema import ProviderSettings
from farthing.errors import InvalidRequest
from farthing.providers.openai_compatible import ModelRow, OpenAICompatible, model_rows
from farthing.providers.protocol import Credential, Operation
from farthing.types.providers import KnownProvider

KNOWN = (
    KnownProvider(
        kind="gemini",
        wire="gemini",
        base_url="https://generativelanguage.googleapis.com",
        credential_env="GEMINI_API_KEY",
        credential_env_first="GOOGLE_API_KEY",  # as google-genai 1.x has it, when both are set
        price_key="google",
        maker=True,
        foreign=("claude",),  # Google sells those by another API
    ),
)

_PATHS: dict[Operation, tuple[bytes, bytes]] = {
    "generate_content": (b"POST", b"/models/{model}:generateContent"),
    "stream_generate_content": (b"POST", b"/models/{model}:streamGenerateContent"),
    "count_tokens": (b"POST", b"/models/{model}:countTokens"),
    "embed_content": (b"POST", b"/models/{model}:embedContent"),
    "batch_embed_contents": (b"POST", b"/models/{model}:batchEmbedContents"),
    "models": (b"GET", b"/models"),
}
_VERSIONS = ("/v1beta", "/v1", "/v1alpha")
_TUNED = "tunedModels/"
_ASKABLE = {"generateContent", "embedContent", "batchEmbedContents"}


_PAGE = b"pageSize=1000"  # the most that Google gives at once; 50 unless asked
_ALT = ("json", "sse")
_MASKS = ("callback", "fields")
_OPERATORS = ("access_token", "key", "oauth_token", "userProject")


class _Paged(msgspec.Struct, gc=False):
    nextPageToken: str = ""  # noqa: N815 - Google's name


_pages = msgspec.json.Decoder(_Paged)


class Gemini(OpenAICompatible):
    """A configured Gemini, or anything that speaks like it."""

    def request_head(
        self, operation: Operation, query: bytes, headers: bytes, body_bytes: int, model: str = ""
    ) -> bytes:
        """See `Provider.request_head`; raises `InvalidRequest` for a query that would hide what the answer cost."""
        if operation == "models":
            query = b"%b&%b" % (_PAGE, query) if query else _PAGE
        elif query not in (b"", b"alt=sse"):
            query = checked_query(query)
        model = model.removeprefix("models/")
        head = super().request_head(operation, query, headers, body_bytes, model)
        if model.startswith(_TUNED):
            line, ending, rest = head.partition(b"\r\n")
            head = line.replace(b"/models/tunedModels%2F", b"/tunedModels/", 1) + ending + rest
        return head

    def model_names(self, body: bytes) -> list[str]:
        """See `Provider.model_names`; those that nothing here can ask are left out."""
        return [row.called.removeprefix("models/") for row in model_rows(body) if row.called and _askable(row)]

    def next_page(self, body: bytes) -> bytes:
        """See `Provider.next_page`."""
        token = _pages.decode(body).nextPageToken
        return b"pageToken=" + quote(token, safe="").encode() if token else b""


def checked_query(query: bytes) -> bytes:
    """Return what goes on of a client's query: without who pays, which is the operator's affair.

    Raises:
        InvalidRequest: it wraps or thins out the answer, of which then nobody could say what it used.
    """
    kept = []
    for part in query.split(b"&"):
        name, _, value = (unquote_plus(piece.decode("latin-1")) for piece in part.partition(b"="))
        name = name.removeprefix("$")
        if name in _MASKS:
            raise InvalidRequest(
                f'"{name}" in the query would hide what the answer cost', hint="leave it out; answers come whole"
            )
        if name == "alt" and value.partition(";")[0] not in _ALT:  # json;enum-encoding=int is Google's own clients'
            raise InvalidRequest(f'"alt" is {value[:40]!r} in the query', hint="send alt=sse, alt=json, or nothing")
        if name not in _OPERATORS:
            kept.append(part)
    return b"&".join(kept)


def _askable(row: ModelRow) -> bool:
    methods = row.supportedGenerationMethods
    return not isinstance(methods, list) or any(isinstance(method, str) and method in _ASKABLE for method in methods)


def create(settings: ProviderSettings, known: KnownProvider, credential: Credential) -> Gemini:
    """Return the provider that `settings` describe; its base address may or may not name a version."""
    suffix = "" if settings.base_url.rstrip("/").endswith(_VERSIONS) else "/v1beta"
    return Gemini(
        settings,
        known,
        credential,
        paths=_PATHS,
        credential_header=b"x-goog-api-key: %b\r\n",
        base_path_suffix=suffix,
    )
