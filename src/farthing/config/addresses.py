"""Checks the addresses an operator writes down: a provider's base URL, our own public URL, the host we listen on."""

import ipaddress
import re
from urllib.parse import SplitResult, parse_qs, urlsplit

from farthing.config.problems import quoted

_HOST = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*\.?", re.ASCII
)
_PATH = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*", re.ASCII)


def checked_url(text: str) -> str:
    """Return an http or https URL without the slash at its end.

    Raises:
        ValueError: it cannot be used; the message is a sentence that quotes the value, without a password in it.
    """
    if not text.isascii() or any(letter.isspace() or not letter.isprintable() for letter in text):
        raise ValueError(f"{quoted(text)} is not a URL: it holds spaces or letters outside ASCII.")
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError(f"{quoted(text)} is not a URL; write it like https://host:port/v1.") from None
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        shown = quoted(text) if "@" not in text else "it"
        raise ValueError(f"{shown} must begin with http:// or https:// and a host, such as http://127.0.0.1:8000/v1.")
    if "@" in parts.netloc:
        raise ValueError("a user name or password does not belong in the URL; use credential: env:NAME.")
    if "?" in text or "#" in text:
        raise ValueError(f"{quoted(text)} must end with the path; take off what begins with '?' or '#'.")
    if not _port_is_valid(parts):
        raise ValueError(f"{quoted(text)} has no valid port; allowed: 1 to 65535.")
    if not parts.hostname or not (_HOST.fullmatch(parts.hostname) or is_ip(parts.hostname)):
        raise ValueError(f"{quoted(text)} has no valid host.")
    if not _PATH.fullmatch(parts.path) or "/../" in f"{parts.path}/" or "/./" in f"{parts.path}/":
        raise ValueError(f"{quoted(text)} has a path that cannot be sent as it is.")
    return text.rstrip("/")


def check_list_source(source: str) -> None:
    """Say whether a price list may be read from there: a file, https, or http on this machine.

    Raises:
        ValueError: it may not; the message is a sentence that quotes the value.
    """
    if source.startswith(("https://", "http://")):
        if is_plain_beyond_loopback(checked_url(source)):
            raise ValueError(f"{quoted(source)} could be changed on its way; use https.")
    elif "://" in source and not source.startswith("file://"):
        raise ValueError(f"{quoted(source)} is neither a file nor an https address.")


def is_plain_beyond_loopback(url: str) -> bool:
    """Whether what is sent to this URL, credential included, can be read on the way."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def is_loopback(host: str) -> bool:
    """Whether the host is this machine and nobody else's."""
    if host.lower().rstrip(".") == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_ip(host: str) -> bool:
    """Whether the host is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_host(text: str) -> bool:
    """Whether one can listen on it: an address or a name."""
    return is_ip(text) or _HOST.fullmatch(text) is not None


def _port_is_valid(parts: SplitResult) -> bool:
    try:
        port = parts.port
    except ValueError:
        return False
    return port != 0 and not parts.netloc.endswith(":")


def port_on_this_machine(url: str) -> int | None:
    """Return the port that a URL means, if it leads to this machine and nowhere else."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if not is_loopback(parts.hostname or ""):
        return None
    return port or (443 if parts.scheme == "https" else 80)


def check_storage_url(text: str) -> None:
    """Refuse what says no place, or says a password.

    Raises:
        ValueError: it is so; the message does not repeat it.
    """
    kind, colon, name = text.partition(":")
    if kind in ("env", "file") and colon and name:
        return
    try:
        parts = urlsplit(text)
        secret = parts.password or "password" in parse_qs(parts.query)
    except ValueError:
        parts, secret = urlsplit(""), None
    if parts.scheme not in ("postgresql", "postgres"):
        raise ValueError(
            "is not a place that is known (not shown here); write env:NAME, file:/path, or postgresql://USER@HOST/NAME."
        )
    if secret:
        raise ValueError(
            "holds a password (not shown here), which is not written into this file; put the whole URL into an"
            " environment variable and write env:NAME, or into a file and write file:/path."
        )
