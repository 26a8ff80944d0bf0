"""What the server needs of a face."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from farthing.errors import CredentialMissing, FarthingError, MoneyError, NotServed, RateLimited
from farthing.providers.protocol import Operation
from farthing.types.models import ListedModel
from farthing.types.providers import WireFormat

Action = Operation | Literal["list_models", "show_model", "fixed"]
"""What a path asks for: a provider's operation, or something that is answered here."""

RenderedError = tuple[int, list[tuple[bytes, bytes]], bytes]
"""Status, headers and body of an error in the face's shape."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """What a method and a path ask for.

    `model` and `streamed` are set where the path says them and not the body; `streams_by_default` is what a body
    without `stream` means; `fixed` is the whole answer of the action `fixed`.
    """

    action: Action
    wire: WireFormat
    model: str | None = None
    streamed: bool | None = None
    streams_by_default: bool = False
    fixed: bytes = b""


class Face(Protocol):
    """One dialect. `routes` holds the paths without variable parts; `match` finds the others."""

    name: str
    routes: Mapping[tuple[str, str], Route]
    not_served: tuple[str, ...]
    """Beginnings of paths, or of method and path, that the dialect has and Farthing does not serve: they answer 501."""

    def match(self, method: str, path: str) -> Route | None:
        """Return what a path with a model's name in it asks for; `None` where it is no path of this face."""
        ...

    def render(self, error: FarthingError) -> RenderedError:
        """Return an error of ours in the face's shape, with the status and headers that stop or delay its clients."""
        ...

    def render_refusal(self, status: int, code: str, message: str) -> bytes:
        """Return the body that tells a provider's refusal in the face's shape."""
        ...

    def render_models(self, models: Sequence[ListedModel]) -> bytes:
        """Return a list of models in the face's shape."""
        ...

    def render_model(self, model: ListedModel) -> bytes:
        """Return one model in the face's shape."""
        ...


def error_headers(error: FarthingError) -> list[tuple[bytes, bytes]]:
    """Return the headers that delay or stop a client: the SDKs of both faces retry on 429 and 5xx unless told."""
    headers = [(b"content-type", b"application/json")]
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % error.retry_after_s))
    if isinstance(error, RateLimited):
        headers += error.headers
        if error.retry_after_s is None:  # it will never fit
            headers.append((b"x-should-retry", b"false"))
    if isinstance(error, MoneyError | CredentialMissing | NotServed):
        headers.append((b"x-should-retry", b"false"))
    return headers
