"""Makes the channels that the settings name. What is secret of one is read when it is made, and printed nowhere."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import assert_never

from farthing.clock import Clock
from farthing.config.credentials import read_credential
from farthing.config.schema import AlertChannelSettings, CredentialSource
from farthing.errors import ConfigError, CredentialMissing
from farthing.monitoring.notify.by_apprise import ByApprise
from farthing.monitoring.notify.channel import Channel, Message, Outcome
from farthing.monitoring.notify.mail import Mail, MailServer
from farthing.monitoring.notify.slack import Slack
from farthing.monitoring.notify.webhook import Webhook
from farthing.types.offload import Offload
from farthing.types.posts import Post
from farthing.types.secret import Secret


class Unreadable:
    """A channel whose address or key cannot be read now: what goes there waits, and it says why."""

    def __init__(self, error: str) -> None:
        self._error = error

    async def send(self, message: Message) -> Outcome:
        """See `Channel.send`."""
        del message
        return Outcome(self._error)


def make_channel(
    settings: AlertChannelSettings,
    environment: Mapping[str, str],
    *,
    post: Post,
    offload: Offload,
    clock: Clock,
) -> Channel:
    """Return the channel; one that lacks its address or key is `Unreadable`, so that nothing sent there is lost."""
    try:
        return _made(settings, partial(_read, environment), post, offload, clock)
    except (CredentialMissing, ConfigError) as error:
        return Unreadable(error.message)


def _read(environment: Mapping[str, str], source: CredentialSource) -> Secret | None:
    return read_credential(source, environment)


def _made(
    settings: AlertChannelSettings,
    read: Callable[[CredentialSource], Secret | None],
    post: Post,
    offload: Offload,
    clock: Clock,
) -> Channel:
    if settings.kind == "email":
        server = MailServer(
            host=settings.host or "",
            port=settings.port,
            security=settings.security,
            sender=settings.sender or "",
            to=settings.to,
            user=settings.user,
            ca_file=settings.ca_file,
        )
        return Mail(server, read(settings.password), offload)
    url = read(settings.url) if settings.url is not None else None
    if url is None:
        raise ConfigError(f"The channel {settings.name!r} has no address.", hint="write url: env:NAME or file:/path.")
    match settings.kind:
        case "webhook":
            return Webhook(url, read(settings.secret), post, clock, ca_file=settings.ca_file)
        case "slack":
            return Slack(url, post, ca_file=settings.ca_file)
        case "apprise":
            return ByApprise(url, offload)
        case _:
            assert_never(settings.kind)
