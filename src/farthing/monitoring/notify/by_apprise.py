"""Everything that the library apprise can reach, by an address in its own form. It is installed on demand: `[alerts]`.

It blocks, so it runs on a thread. It says whether a message was taken, and no more; why not stands in its log.
"""

from typing import Any

from farthing.errors import ConfigError
from farthing.monitoring.notify.channel import TAKEN, Message, Outcome
from farthing.types.offload import Offload
from farthing.types.secret import Secret


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
            "The library apprise is not installed.", hint="install farthing[alerts], or choose another kind."
        ) from None
    found = apprise.Apprise()
    if not found.add(url.reveal()):
        raise ConfigError("The channel's address is none that apprise knows (not shown).", hint="see its list of URLs.")
    return found
