"""Everything that the library apprise can reach, by an address in its own form. It is installed on demand: `[alerts]`.

It blocks, so it runs on a thread. It says whether a message was taken, and no more; why not stands in its log. What
surprised us: that log quotes addresses which it cannot use, and a token is a part of them.
"""

import logging
import re
from typing import Any

from farthing.errors import ConfigError
from farthing.monitoring.notify.channel import TAKEN, Message, Outcome
from farthing.types.offload import Offload
from farthing.types.secret import Secret

MAX_ADDRESSES = 64
"""Addresses whose parts are hidden: as many as a reload or two may bring."""
_SECRET_CHARS = 4
"""Shorter parts of an address are no secrets, and stand in other words."""


class ByApprise:
    """See `Channel`."""

    def __init__(self, url: Secret, offload: Offload) -> None:
        self._url = url
        self._offload = offload
        self._apprise: Any = None

    async def send(self, message: Message) -> Outcome:
        """See `Channel.send`."""
        try:
            return await self._offload.run(lambda: self._send(message))
        except ConfigError as error:
            return Outcome(error.message)

    def _send(self, message: Message) -> Outcome:
        if self._apprise is None:
            self._apprise = made(self._url)
        taken = self._apprise.notify(title=message.title, body=f"{message.text}\n\nfarthing {message.id}")
        return TAKEN if taken else Outcome("apprise could not send it; its log says why")


def made(url: Secret) -> Any:
    """Return apprise with one address.

    Raises:
        ConfigError: the library is not there, or does not know such an address.
    """
    try:
        import apprise  # noqa: PLC0415  (0.3 s to import, and not installed unless asked for)
    except ImportError:
        raise ConfigError(
            "The library apprise is not installed (pip install 'farthing[alerts]').", hint="or choose another kind."
        ) from None
    _hidden.learn(url)
    logging.getLogger("apprise").addFilter(_hidden)
    found = apprise.Apprise()
    if not found.add(url.reveal()):
        raise ConfigError("The channel's address is none that apprise knows (not shown).", hint="see its list of URLs.")
    return found


class _Hidden(logging.Filter):
    """Puts stars for each part of the channels' addresses that could be a secret."""

    def __init__(self) -> None:
        super().__init__()
        self._addresses: tuple[frozenset[str], ...] = ()
        self._parts: re.Pattern[str] | None = None

    def learn(self, url: Secret) -> None:
        """Hide the parts of this one from now on."""
        parts = frozenset(part for part in re.split(r"[/:@?&=#,]+", url.reveal()) if len(part) >= _SECRET_CHARS)
        if parts and parts not in self._addresses:
            self._addresses = (*self._addresses[1 - MAX_ADDRESSES :], parts)
            longest_first = sorted(frozenset().union(*self._addresses), key=len, reverse=True)
            self._parts = re.compile("|".join(map(re.escape, longest_first)))

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record; all of them pass."""
        if self._parts is not None:
            record.msg, record.args = self._parts.sub("***", record.getMessage()), ()
        return True


_hidden = _Hidden()
