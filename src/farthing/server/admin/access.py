"""Who asks something of the admin API: by a bearer token, or by the cookie that the admin's link gave a browser.

A token in a header is sent by nobody unasked, so it counts whatever name the gateway was called by. A cookie is sent by
the browser for whatever page asks, so it counts only where the gateway was called by its own name, which ends DNS
rebinding, and where a page of ours asked, which the browser says itself (`Origin`, `Sec-Fetch-Site`). No header of a
proxy is believed here: nothing depends on an address.
"""

import hmac
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from farthing.auth.admin_tokens import AdminTokens
from farthing.auth.keys import PREFIX as KEY_PREFIX
from farthing.errors import Forbidden, InvalidKey, WrongHost
from farthing.server.admin.page import COOKIE, host_of
from farthing.server.admin.token import digest_of
from farthing.server.listener import Scope
from farthing.types.admin import Caller

ADMIN = Caller("admin", "admin", "admin")
"""Whoever has the admin's own token, or its link's cookie."""
_HINT = (
    'send "Authorization: Bearer TOKEN": that of the admin link, of FARTHING_ADMIN_TOKEN, or of "farthing admin token"'
)


class Door:
    """Tells who asks, or refuses."""

    def __init__(
        self,
        *,
        token_digest: Callable[[], bytes],
        pepper: bytes,
        tokens: AdminTokens,
        knows_cookie: Callable[[str], bool],
        hosts: frozenset[str],
    ) -> None:
        """`token_digest` tells what the admin's own token must hash to, now; `hosts` are our own names."""
        self._token_digest = token_digest
        self._pepper = pepper
        self._tokens = tokens
        self._knows_cookie = knows_cookie
        self._hosts = hosts

    async def caller(self, scope: Scope) -> Caller:
        """Return who asks.

        Raises:
            InvalidKey: nobody that we know.
            WrongHost, Forbidden: a browser asks in the name of the admin, but not from a page of ours.
            StoreError: the store cannot be asked.
        """
        told = _only(scope, b"authorization")
        if told is not None:
            return await self._by_token(told)
        cookie = _cookie(scope)
        if cookie is None:
            raise InvalidKey("The admin API needs a token.", hint=_HINT)
        self._must_be_from_a_page_of_ours(scope)
        if not self._knows_cookie(cookie):
            raise InvalidKey("This cookie opens nothing any more.", hint='"farthing admin link" prints a new link.')
        return ADMIN

    async def _by_token(self, told: bytes) -> Caller:
        scheme, _, rest = told.partition(b" ")
        token = rest.strip().decode("utf-8", "surrogateescape")
        if scheme.lower() != b"bearer":
            raise InvalidKey("The admin API takes bearer tokens.", hint=_HINT)
        if hmac.compare_digest(digest_of(token, self._pepper), self._token_digest()):
            return ADMIN
        found = await self._tokens.verify(token)
        if found is not None:
            return Caller(found.id, found.name, found.role, found.tenant)
        if token.startswith(KEY_PREFIX):
            raise InvalidKey("This is a client's key, and opens nothing here.", hint=_HINT)
        raise InvalidKey("This token is unknown, revoked, or its time is over.", hint=_HINT)

    def _must_be_from_a_page_of_ours(self, scope: Scope) -> None:
        host = (_only(scope, b"host") or b"").decode("latin-1")
        if host_of(host) not in self._hosts:
            raise WrongHost("The admin's cookie does not count under this name.", hint="use the address of the link.")
        origin = _only(scope, b"origin")
        site = _only(scope, b"sec-fetch-site")
        asked_by_us = origin is not None and urlsplit(origin.decode("latin-1")).netloc.lower() == host.lower()
        if origin is None and scope["method"] in ("GET", "HEAD"):
            asked_by_us = True  # browsers say it with whatever may change something
        if not asked_by_us or site not in (None, b"same-origin", b"none"):
            raise Forbidden("This was asked by a page of another origin.", hint="use the admin's own page, or a token.")


def _only(scope: Scope, wanted: bytes) -> bytes | None:
    """Return a header that must not come twice: whoever reads the other one would see another request."""
    found = [value for name, value in scope["headers"] if name == wanted]
    if len(found) > 1:
        raise InvalidKey(f"There are {len(found)} {wanted.decode()} headers.", hint="send one.")
    return bytes(found[0]) if found else None


def _cookie(scope: Scope) -> str | None:
    told = b"; ".join(value for name, value in scope["headers"] if name == b"cookie")
    if COOKIE.encode() not in told:
        return None
    try:
        found = SimpleCookie(told.decode("latin-1")).get(COOKIE)
    except CookieError:
        return None
    return None if found is None else found.value
