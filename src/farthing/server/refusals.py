"""What a connection says to a request that is over a bound, or no request that can be served."""

from farthing.errors import FarthingError, HeadersTooLarge, InvalidRequest, Overloaded, RequestTooLarge
from farthing.server.listener import Bounds


def too_many_connections(bounds: Bounds) -> FarthingError:
    """Refuse a connection."""
    return Overloaded(f"{bounds.max_connections} connections are open, which is the bound", hint="try again later")


def headers_too_large(bounds: Bounds) -> FarthingError:
    """Refuse a header block by its size."""
    return HeadersTooLarge(f"more than {bounds.max_header_bytes} bytes of headers", hint="send fewer")


def too_many_headers(bounds: Bounds) -> FarthingError:
    """Refuse a header block by the number of its lines."""
    return HeadersTooLarge(f"more than {bounds.max_headers} headers", hint="send fewer headers")


def body_too_large(bounds: Bounds, size: str) -> FarthingError:
    """Refuse a body by the size that was told, or that came."""
    return RequestTooLarge(
        f"a body of {size} bytes is over the bound of {bounds.max_body_bytes}",
        hint="raise server.max_body_mb or send less",
    )


def mostly_framing(framing_bytes: int, body_bytes: int) -> FarthingError:
    """Refuse a chunked body that is hardly any body."""
    return InvalidRequest(
        f"{framing_bytes} bytes of chunk heads and trailers around a body of {body_bytes}",
        hint="send larger chunks, or a content-length",
    )


def odd_transfer_encoding() -> FarthingError:
    """Refuse what would have to be undone before it is read."""
    return InvalidRequest("this transfer-encoding is not taken", hint="send chunked by HTTP/1.1, or a length")


def chunked_upgrade() -> FarthingError:
    """Refuse a body that the parser cannot read."""
    return InvalidRequest(
        "a chunked body cannot be read behind an upgrade header", hint="send no upgrade header, or a length"
    )
