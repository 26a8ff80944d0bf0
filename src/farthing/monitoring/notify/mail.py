"""Email through a mail server. The standard library's client blocks, so it runs on a thread of the channels' own.

The message's own id is made of the fact's, so mail programs that look show a repetition once.
"""

import smtplib
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate

import msgspec

from farthing.monitoring.notify.channel import MAX_ERROR_CHARS, TAKEN, Message, Outcome
from farthing.types.offload import Offload
from farthing.types.secret import Secret

TIMEOUT_S = 20.0
"""For each step of the exchange; a server that greets after ten seconds does so to keep spam away."""


class MailServer(msgspec.Struct, frozen=True, kw_only=True):
    """How a mail server is reached, and who is who there."""

    host: str
    port: int
    security: str
    sender: str
    to: tuple[str, ...]
    user: str | None = None
    ca_file: str | None = None


class Mail:
    """See `Channel`."""

    def __init__(self, server: MailServer, password: Secret | None, offload: Offload) -> None:
        self._server = server
        self._password = password
        self._offload = offload

    async def send(self, message: Message) -> Outcome:
        """See `Channel.send`."""
        return await self._offload.run(lambda: self._send(message))

    def _send(self, message: Message) -> Outcome:
        server = self._server
        try:
            context = ssl.create_default_context(cafile=server.ca_file) if server.security != "none" else None
            with self._connect(context) as connection:
                if server.security == "starttls":
                    connection.starttls(context=context)
                if server.user is not None and self._password is not None:
                    connection.login(server.user, self._password.reveal())
                # Where some of several are refused, sending again would give it to the others twice.
                connection.send_message(mail_of(message, server), server.sender, list(server.to))
        except (OSError, smtplib.SMTPException, ssl.SSLError, UnicodeError) as error:
            return Outcome(f"{server.host}:{server.port}: {_told(error)}"[:MAX_ERROR_CHARS])
        return TAKEN

    def _connect(self, context: ssl.SSLContext | None) -> smtplib.SMTP:
        """Connect, and greet by the sender's domain: else the library asks the name server who we are."""
        server = self._server
        name = server.sender.rpartition("@")[2]
        if server.security == "tls":
            return smtplib.SMTP_SSL(server.host, server.port, name, timeout=TIMEOUT_S, context=context)
        return smtplib.SMTP(server.host, server.port, name, timeout=TIMEOUT_S)


def mail_of(message: Message, server: MailServer) -> EmailMessage:
    """Return the mail; what a client chose cannot begin a header, because the subject is one line."""
    mail = EmailMessage()
    mail["Subject"] = " ".join(f"[farthing] {message.title}".split())
    mail["From"] = Address("Farthing", addr_spec=server.sender)
    mail["To"] = ", ".join(server.to)
    mail["Date"] = formatdate(message.at_us / 1_000_000)
    mail["Message-ID"] = f"<{message.id}@{server.sender.rpartition('@')[2]}>"
    mail["X-Farthing-Alert-Id"] = message.id
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(f"{message.text}\n\n-- \nfarthing {message.id}\n")
    return mail


def _told(error: Exception) -> str:
    """Return what a server said; of a failed login not the exchange, which holds the password in another form."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"the account or its password was refused ({error.smtp_code})"
    return f"{type(error).__name__}: {error}"
