"""The words for everything that goes wrong on the way to a provider, and whether the provider can have seen it."""

import socket
import ssl
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from farthing.errors import (
    Draining,
    ProviderBusy,
    ProviderCut,
    ProviderError,
    ProviderMisbehaved,
    ProviderTimeout,
    ProviderUnreachable,
)
from farthing.providers.pool.origin import Origin
from farthing.providers.pool.tunnel import TunnelRefused


class ConnectTimeout(ProviderTimeout):
    """The connection did not stand in time, so nothing was sent."""


def nothing_sent(error: BaseException) -> bool:
    """Tell whether the provider cannot have seen the request, so that sending it again cannot pay twice."""
    return isinstance(error, (ProviderUnreachable, ProviderBusy, ConnectTimeout, Draining))


_P = ParamSpec("_P")
_E = TypeVar("_E", bound=ProviderError)
_ANYTHING = "check base_url, the network and any firewall between"


def _placeless(make: Callable[Concatenate[Origin, _P], _E]) -> Callable[Concatenate[Origin, _P], _E]:
    """Have an error say to clients that it is the provider, and not where that is: it may be inside of the network."""

    @wraps(make)
    def made(origin: Origin, /, *args: _P.args, **kwargs: _P.kwargs) -> _E:
        error = make(origin, *args, **kwargs)
        if not error.public:
            told = error.message.replace(str(origin), "the provider")
            error.public = told[0].upper() + told[1:]
        return error

    return made


@_placeless
def unreachable(origin: Origin, error: OSError | ValueError) -> ProviderUnreachable:
    """Say which step of connecting failed and what to look at."""
    match error:
        case TunnelRefused():
            what = str(error)
            hint = "check HTTPS_PROXY; NO_PROXY names what is reached without it"
        case ssl.SSLCertVerificationError():
            what = f"its certificate is not trusted ({error.verify_message})"
            hint = "check the host name; for a private authority set ca_file to its PEM file"
        case ssl.SSLError():
            what = f"TLS failed ({error.reason or error})"
            hint = "check that the port speaks https"
        case socket.gaierror():
            what = f"the name cannot be resolved ({error.strerror or error})"
            hint = "check base_url and the DNS of this machine"
        case ConnectionRefusedError():
            what = "the connection was refused"
            hint = "check base_url and that the server is running"
        case _:
            what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            hint = _ANYTHING
    failed = ProviderUnreachable(f"Cannot connect to {origin}: {what}.", hint=hint)
    if isinstance(error, TunnelRefused) or hint is _ANYTHING:  # which name other places, or may
        failed.public = "The provider cannot be reached."
    return failed


@_placeless
def closed_at_once(origin: Origin) -> ProviderUnreachable:
    """The connection stood and was gone before anything was written."""
    return ProviderUnreachable(
        f"{origin} closed a new connection before anything was sent.", hint="check that the server takes connections"
    )


@_placeless
def connect_timeout(origin: Origin, seconds: float) -> ProviderTimeout:
    """Name, address or TLS took too long."""
    return ConnectTimeout(
        f"Cannot connect to {origin}: no connection within {seconds:g} s (connect timeout).",
        hint="check base_url, the network and any firewall between",
    )


@_placeless
def first_byte_timeout(origin: Origin, seconds: float) -> ProviderTimeout:
    """The answer's head did not come."""
    return ProviderTimeout(
        f"{origin} sent no answer within {seconds:g} s (first byte timeout).",
        hint="raise the first byte timeout for slow models",
    )


@_placeless
def idle_timeout(origin: Origin, seconds: float) -> ProviderTimeout:
    """The answer's body stopped."""
    return ProviderTimeout(
        f"{origin} sent nothing for {seconds:g} s in the middle of its answer (idle timeout).",
        hint="raise the idle timeout for models that pause",
    )


@_placeless
def total_timeout(origin: Origin, seconds: float) -> ProviderTimeout:
    """Everything together took too long."""
    return ProviderTimeout(
        f"{origin} did not finish its answer within {seconds:g} s (total timeout).",
        hint="raise the total timeout for long answers",
    )


@_placeless
def cut(origin: Origin, *, answered: bool, error: Exception | None) -> ProviderCut:
    """The connection ended before the answer did."""
    when = "in the middle of its answer" if answered else "before it answered"
    how = f" ({str(error) or type(error).__name__})" if error is not None else ""
    hint = None if answered else "the request was sent and may have been billed"
    return ProviderCut(f"{origin} closed the connection {when}{how}.", hint=hint)


@_placeless
def abandoned(origin: Origin) -> ProviderCut:
    """Our own side gave the answer up."""
    return ProviderCut(f"The answer of {origin} was cancelled on this side.")


@_placeless
def stopped(origin: Origin) -> ProviderCut:
    """The pool was closed under an answer."""
    return ProviderCut(f"The answer of {origin} was cut because the gateway is stopping.")


@_placeless
def misbehaved(origin: Origin, what: str) -> ProviderMisbehaved:
    """The answer is not HTTP/1.1 or breaks a bound."""
    return ProviderMisbehaved(f"The answer of {origin} cannot be used: {what}.", hint="check that base_url is its API")


@_placeless
def queue_full(origin: Origin, connections: int, waiting: int) -> ProviderError:
    """There is no room to wait."""
    return ProviderBusy(
        f"All {connections} connections to {origin} are taken and {waiting} requests wait, which is the bound.",
        hint="try again in a moment, or spread the load over more providers",
        retry_after_s=1,
    )


@_placeless
def waited_too_long(origin: Origin, connections: int, seconds: float) -> ProviderError:
    """No connection became free."""
    return ProviderBusy(
        f"All {connections} connections to {origin} stayed taken for {seconds:g} s.",
        hint="try again in a moment, or spread the load over more providers",
        retry_after_s=1,
    )


def draining(origin: Origin) -> Draining:
    """The pool takes no more requests."""
    return Draining(f"Nothing is sent to {origin} any more: the gateway is stopping.", hint="try again in a moment")
