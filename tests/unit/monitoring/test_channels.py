"""Each kind of channel against a receiver that speaks its protocol: what arrives there, and what is never shown."""

import email
import hashlib
import hmac
import json
import logging
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from email.message import Message as Mail
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest
import trustme

from farthing.config.schema import AlertChannelSettings, CredentialSource
from farthing.errors import ConfigError
from farthing.monitoring.notify.by_apprise import made
from farthing.monitoring.notify.channel import TAKEN, Channel, Message
from farthing.monitoring.notify.channels import make_channel
from farthing.monitoring.notify.slack import escaped
from farthing.monitoring.notify.webhook import signature
from farthing.monitoring.notify.words import message_of
from farthing.storage.offload import ThreadOffload
from farthing.types.alerts import (
    About,
    BudgetReached,
    ErrorBurst,
    Fact,
    ForecastPassed,
    UnusualSpend,
    WhyOver,
)
from farthing.types.secret import Secret
from tests.contracts.ledger_samples import NOON_US, SetClock
from tests.unit.monitoring.receivers import MESSAGE, Receiver


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as made:
        yield made


@pytest.fixture
async def offload() -> AsyncIterator[ThreadOffload]:
    made = ThreadOffload("channels")
    yield made
    await made.close()


def channel(receiver: Receiver, offload: ThreadOffload, kind: str, **fields: Any) -> Channel:
    settings = AlertChannelSettings(name="ops", kind=kind, url=CredentialSource("env", "URL"), **fields)  # type: ignore[arg-type]
    environment = {"URL": receiver.url, "SECRET": "k3y", "PASSWORD": "pa55"}
    return make_channel(settings, environment, post=receiver.post, offload=offload, clock=SetClock())


async def test_a_webhook_is_signed_over_its_time_and_body(receiver: Receiver, offload: ThreadOffload) -> None:
    ours = channel(receiver, offload, "webhook", secret=CredentialSource("env", "SECRET"))
    assert await ours.send(MESSAGE) == TAKEN
    (request,) = receiver.requests
    assert (request.method, request.path) == ("POST", "/hooks/a?token=t0k3n")
    timestamp = request.headers["x-farthing-timestamp"]
    assert timestamp == str(NOON_US // 1_000_000)
    expected = hmac.new(b"k3y", timestamp.encode() + b"." + request.body, hashlib.sha256).hexdigest()
    assert request.headers["x-farthing-signature"] == f"v1={expected}"
    assert signature(Secret("other"), timestamp, request.body) != request.headers["x-farthing-signature"]
    assert request.json()["id"] == request.headers["idempotency-key"] == MESSAGE.id


async def test_without_a_key_nothing_pretends_to_be_signed(receiver: Receiver, offload: ThreadOffload) -> None:
    await channel(receiver, offload, "webhook").send(MESSAGE)
    assert "x-farthing-signature" not in receiver.requests[0].headers


async def test_what_a_client_called_itself_mentions_nobody_in_slack(receiver: Receiver, offload: ThreadOffload) -> None:
    message = Message("alert_1", "Budget 'x' (user '<!channel>')", "*bold* <https://evil.example|here> & more", NOON_US)
    assert await channel(receiver, offload, "slack").send(message) == TAKEN
    text = receiver.requests[0].body.decode()
    assert "<" not in text
    body = receiver.requests[0].json()
    assert set(body) == {"text", "blocks"}
    assert "&lt;!channel&gt;" in body["blocks"][0]["text"]["text"]
    assert escaped("a & b") == "a &amp; b"


async def test_a_channel_asks_to_be_left_alone_and_is(receiver: Receiver, offload: ThreadOffload) -> None:
    receiver.statuses, receiver.headers = [429], {"retry-after": "120"}
    outcome = await channel(receiver, offload, "slack").send(MESSAGE)
    assert (outcome.error, outcome.wait_s) == ("status 429: what a receiver says", 120.0)


THEIR_WARNING = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


@THEIR_WARNING
async def test_apprise_reaches_what_it_knows(receiver: Receiver, offload: ThreadOffload) -> None:
    address = receiver.url.replace("http://", "json://")
    settings = AlertChannelSettings(name="ops", kind="apprise", url=CredentialSource("env", "URL"))
    ours = make_channel(settings, {"URL": address}, post=receiver.post, offload=offload, clock=SetClock())
    assert await ours.send(MESSAGE) == TAKEN
    assert receiver.bodies()[0]["title"] == MESSAGE.title
    receiver.statuses = [500]
    assert (await ours.send(MESSAGE)).error is not None


@THEIR_WARNING
def test_an_address_that_apprise_does_not_know_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        made(Secret("nothing-like-that://t0k3n"))
    assert "t0k3n" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["ftp://t0k3n", "https://user:t0k3n@host/", "http://t0k3n:port/", "t0k3n", "http://h/ä"]
)
async def test_an_address_that_is_none_is_told_without_being_shown(
    address: str, receiver: Receiver, offload: ThreadOffload
) -> None:
    settings = AlertChannelSettings(name="ops", kind="webhook", url=CredentialSource("env", "URL"))
    ours = make_channel(settings, {"URL": address}, post=receiver.post, offload=offload, clock=SetClock())
    error = (await ours.send(MESSAGE)).error
    assert error
    assert "t0k3n" not in error


async def test_a_channel_without_its_address_says_so_and_its_alerts_wait(
    receiver: Receiver, offload: ThreadOffload
) -> None:
    settings = AlertChannelSettings(name="ops", kind="webhook", url=CredentialSource("env", "NOT_SET"))
    ours = make_channel(settings, {}, post=receiver.post, offload=offload, clock=SetClock())
    assert (await ours.send(MESSAGE)).error == "The environment variable NOT_SET is not set or empty."


class MailServer:
    """A mail server with an account, on loopback and a thread; it notes what is said to it, and each mail it took."""

    def __init__(self, context: ssl.SSLContext, *, tls: bool) -> None:
        self.context = context
        self.tls = tls
        self.said: list[str] = []
        self.mails: list[Mail] = []
        self.refuses = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        """Serve one connection."""
        connection, _ = self._listener.accept()
        connection.settimeout(10)
        with suppress(OSError), connection:
            self._talk(self.context.wrap_socket(connection, server_side=True) if self.tls else connection)

    def _talk(self, connection: socket.socket) -> None:
        connection.sendall(b"220 ready\r\n")
        lines = connection.makefile("rb")
        while line := lines.readline():
            word = line.decode().strip()
            self.said.append(word)
            match word.split(" ")[0].upper():
                case "EHLO":
                    connection.sendall(b"250-here\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n")
                case "STARTTLS":
                    connection.sendall(b"220 go on\r\n")
                    connection = self.context.wrap_socket(connection, server_side=True)
                    lines = connection.makefile("rb")
                case "AUTH":
                    connection.sendall(self.refuses or b"235 welcome\r\n")
                case "DATA":
                    connection.sendall(b"354 go on\r\n")
                    data = b""
                    while (part := lines.readline()) != b".\r\n":
                        data += part
                    self.mails.append(email.message_from_bytes(data))
                    connection.sendall(b"250 taken\r\n")
                case "QUIT":
                    connection.sendall(b"221 bye\r\n")
                    break
                case _:
                    connection.sendall(b"250 fine\r\n")
        lines.close()
        connection.close()


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


def mail_channel(
    server: MailServer, offload: ThreadOffload, receiver: Receiver, ca_file: Path, security: str
) -> Channel:
    authority_file = str(ca_file)
    return channel(
        receiver,
        offload,
        "email",
        host="localhost",
        port=server.port,
        security=security,
        user="us",
        password=CredentialSource("env", "PASSWORD"),
        sender="farthing@example.com",
        to=("a@example.com", "b@example.com"),
        ca_file=authority_file,
    )


@pytest.mark.parametrize("security", ["starttls", "tls", "none"])
async def test_a_mail_arrives_with_an_id_of_the_fact(
    security: str, offload: ThreadOffload, receiver: Receiver, authority: trustme.CA, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with MailServer(server_context(authority), tls=security == "tls") as server:
        ours = mail_channel(server, offload, receiver, tmp_path / "ca.pem", security)
        assert await ours.send(MESSAGE) == TAKEN
    (mail,) = server.mails
    assert mail["Subject"] == "[farthing] Budget 'one': nothing is left"
    assert mail["Message-ID"] == "<alert_0123@example.com>"
    assert ("STARTTLS" in server.said) is (security == "starttls")
    if security == "starttls":
        assert server.said.index("STARTTLS") < next(n for n, said in enumerate(server.said) if said.startswith("AUTH"))


async def test_a_mail_server_that_nobody_vouches_for_gets_no_password(
    offload: ThreadOffload, receiver: Receiver, authority: trustme.CA, tmp_path: Path
) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    with MailServer(server_context(authority), tls=False) as server:
        ours = mail_channel(server, offload, receiver, tmp_path / "other.pem", "starttls")
        outcome = await ours.send(MESSAGE)
    assert "CERTIFICATE_VERIFY_FAILED" in str(outcome.error)
    assert not [said for said in server.said if said.startswith("AUTH")]


async def test_a_refused_password_is_told_and_not_shown(
    offload: ThreadOffload, receiver: Receiver, authority: trustme.CA, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with MailServer(server_context(authority), tls=True) as server:
        server.refuses = b"535 AHVzAHBhNTU= is wrong\r\n"
        outcome = await mail_channel(server, offload, receiver, tmp_path / "ca.pem", "tls").send(MESSAGE)
    assert outcome.error == f"localhost:{server.port}: the account or its password was refused (535)"


ABOUTS: list[About] = [
    BudgetReached(
        budget_id="b",
        budget="team",
        account_id="a",
        scope="user 'ann\nBcc: all'",
        period="day",
        left_percent=5,
        action="emergency",
        limit_nanousd=10**10,
        spent_nanousd=9_600_000_000,
        unknown_nanousd=10**9,
        resets_at_us=NOON_US,
    ),
    UnusualSpend(
        scope="key 'ci'",
        hour_us=NOON_US,
        spent_nanousd=31_000_000_000,
        usual_nanousd=1_234_567_891,
        bound_nanousd=4_000_000_000,
        sample_hours=60,
    ),
    ForecastPassed(
        budget_id="b",
        budget="team",
        account_id="a",
        scope="all calls",
        limit_nanousd=2 * 10**10,
        spent_nanousd=10**10,
        expected_nanousd=27_123_456_789,
        low_nanousd=21 * 10**9,
        high_nanousd=33 * 10**9,
        interval_percent=80,
        reached_at_us=NOON_US,
        resets_at_us=NOON_US + 10**10,
    ),
    ErrorBurst(provider="openai", since_us=NOON_US, attempts=40, failed=30, usual_ppm=12_345, sample_attempts=9_000),
]


@pytest.mark.parametrize("about", ABOUTS, ids=lambda about: type(about).__name__)
@pytest.mark.parametrize("why_over", [None, "anew"])
async def test_every_fact_has_words_and_goes_through_every_channel(
    about: About, why_over: WhyOver | None, receiver: Receiver, offload: ThreadOffload
) -> None:
    message = message_of(Fact(id="alert_1", at_us=NOON_US, about=about, why_over=why_over))
    assert message.title
    assert message.text.endswith(".")
    for kind in ("webhook", "slack"):
        assert await channel(receiver, offload, kind).send(message) == TAKEN
    told = receiver.requests[0].json()
    assert told["state"] == ("began" if why_over is None else "over")
    assert json.loads(receiver.requests[0].body)["about"]


async def test_the_words_of_a_threshold_say_what_follows_and_what_is_not_known() -> None:
    message = message_of(Fact(id="alert_1", at_us=NOON_US, about=ABOUTS[0]))
    assert message.text == (
        "$9.60 of $10.00 is spent. $1.00 of that is what calls of unknown cost may have cost. Routers choose the"
        " cheapest that can now. It begins anew at 2026-11-18 11:06 (UTC)."
    )


async def test_moments_of_a_budget_are_told_as_its_own_clock_shows_them() -> None:
    about = msgspec.structs.replace(ABOUTS[2], time_zone="Europe/Berlin")
    message = message_of(Fact(id="alert_1", at_us=NOON_US, about=about))
    assert message.title == "Budget 'team': at this pace $20.00 is reached at 2026-11-18 12:06 (Europe/Berlin)"
    assert "by 2026-11-18 14:53 (Europe/Berlin) it would be $27.12" in message.text


async def test_a_name_cannot_begin_a_header_of_a_mail(
    offload: ThreadOffload, receiver: Receiver, authority: trustme.CA, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    message = Message("alert_1", "Budget 'x\r\nBcc: all@example.com'", "text", NOON_US)
    with MailServer(server_context(authority), tls=True) as server:
        assert await mail_channel(server, offload, receiver, tmp_path / "ca.pem", "tls").send(message) == TAKEN
    assert server.mails[0]["Bcc"] is None


@pytest.mark.parametrize("url", ["slack://hunter2token", "nosuch://hunter2@x", "json://u:hunter2@127.0.0.1:1/hunter2x"])
def test_an_address_that_apprise_cannot_use_is_not_in_its_log(url: str, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        with suppress(ConfigError):
            made(Secret(url)).notify(title="t", body="b")
    assert caplog.records
    assert "hunter2" not in caplog.text
    assert len(logging.getLogger("apprise").filters) == 1
