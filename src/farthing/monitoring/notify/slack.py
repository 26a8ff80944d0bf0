"""Slack, and what takes the same shape (Mattermost, Rocket.Chat): an incoming webhook.

It knows no ids of ours; the id stands in the message's small print, so that a person can tell a repetition.
"""

import msgspec

from farthing.errors import FarthingError
from farthing.monitoring.notify.channel import JSON_HEADERS, Message, Outcome, outcome_of
from farthing.types.posts import Post
from farthing.types.secret import Secret

_MAX_CHARS = 2_900
"""Slack refuses a section of more than 3,000 characters."""


class Slack:
    """See `Channel`."""

    def __init__(self, url: Secret, post: Post, *, ca_file: str | None) -> None:
        self._url = url
        self._post = post
        self._ca_file = ca_file

    async def send(self, message: Message) -> Outcome:
        """See `Channel.send`."""
        title, text = escaped(message.title), escaped(message.text)
        body = {
            "text": f"{title}: {text}"[:_MAX_CHARS],  # for notifications, and for what knows no blocks
            "blocks": [
                {"type": "section", "text": {"type": "mrkdwn", "text": f"*{title}*\n{text}"[:_MAX_CHARS]}},
                {"type": "context", "elements": [{"type": "plain_text", "text": f"farthing {message.id}"}]},
            ],
        }
        headers = [*JSON_HEADERS.items(), ("idempotency-key", message.id)]
        try:
            reply = await self._post(self._url.reveal(), headers, msgspec.json.encode(body), self._ca_file)
        except FarthingError as error:
            return Outcome(error.message)
        return outcome_of(reply)


def escaped(text: str) -> str:
    """Return a text in which no name that a client chose is read as a link, a mention, or emphasis.

    Slack documents three letters as special; a mention (`<!channel>`) begins with one of them.
    """
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return plain.replace("*", "\u2217").replace("`", "\u02cb")
