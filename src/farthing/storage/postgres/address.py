"""Where the server is: a URL with a password in it, which is never shown."""

from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from farthing.errors import StoreError

SCHEMES = ("postgresql", "postgres")
_SECRET = frozenset({"password", "sslpassword"})


class Address:
    """A PostgreSQL URL; as text it is without its password."""

    __slots__ = ("_shown", "url")

    def __init__(self, url: str) -> None:
        """Take a URL apart.

        Raises:
            StoreError: it is none of PostgreSQL's.
        """
        self.url = url
        try:
            parts = urlsplit(url)
        except ValueError:  # it may quote a password: none of it is shown, nor in a traceback
            raise _unreadable() from None
        # A password with a bare / or # ends the server's name there, and what was meant to be hidden would be shown.
        if parts.fragment or "@" in parts.path + parts.query or not _has_ports(parts):
            raise _unreadable()
        if parts.scheme not in SCHEMES:
            raise StoreError(f"The database's URL begins with {parts.scheme!r}.", hint=f"{_EXAMPLE}.")
        account, at, host = parts.netloc.rpartition("@")
        user = account.partition(":")[0]
        asked = urlencode([(name, value) for name, value in parse_qsl(parts.query) if name not in _SECRET], safe="/,:")
        self._shown = urlunsplit((parts.scheme, f"{user}{at}{host}", parts.path, asked, ""))

    def __str__(self) -> str:
        return repr(self._shown)

    def __repr__(self) -> str:
        return f"Address({self._shown!r})"


def _has_ports(parts: SplitResult) -> bool:
    """Whether what stands where ports do are some, or nothing; of several servers each has its own."""
    servers = parts.netloc.rpartition("@")[2].split(",")
    return all(not port or port.isdigit() for _, _, port in (one.rpartition("]")[2].partition(":") for one in servers))


def _unreadable() -> StoreError:
    return StoreError("The database's URL cannot be read (it is not shown).", hint=f"{_EXAMPLE}.")


_EXAMPLE = (
    "it is written postgresql://USER:PASSWORD@HOST:5432/DATABASE; in USER and PASSWORD, @ is %40, / is %2F, # is %23"
)
