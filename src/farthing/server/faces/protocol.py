"""What the server needs of a face."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from farthing.errors import CredentialMissing, FarthingError, MoneyError
from farthing.types.models import ListedModel
from farthing.types.providers import WireFormat

Action = Literal["chat.completions", "messages", "count_tokens", "list_models"]
"""What a path asks for."""

RenderedError = tuple[int, list[tuple[bytes, bytes]], bytes]
"""Status, headers and body of an error in the face's shape."""


class Face(Protocol):
    """One dialect."""

    name: str
    wire: WireFormat
    routes: Mapping[tuple[str, str], Action]

    def render(self, error: FarthingError) -> RenderedError:
        """Return an error of ours in the face's shape, with the status and headers that stop or delay its clients."""
        ...

    def render_refusal(self, status: int, code: str, message: str) -> bytes:
        """Return the body that tells a provider's refusal in the face's shape."""
        ...

    def render_models(self, models: Sequence[ListedModel]) -> bytes:
        """Return a list of models in the face's shape."""
        ...


def error_headers(error: FarthingError) -> list[tuple[bytes, bytes]]:
    """Return the headers that delay or stop a client: the SDKs of both faces retry on 429 and 5xx unless told."""
    headers = [(b"content-type", b"application/json")]
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % error.retry_after_s))
    if isinstance(error, MoneyError | CredentialMissing):
        headers.append((b"x-should-retry", b"false"))
    return headers
