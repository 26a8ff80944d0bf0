"""By which names the admin's page may be called, as the settings say: one too many is a way in for a foreign page."""

import pytest

from farthing.config.schema import ServerSettings
from farthing.server.build import _own_names

LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (ServerSettings(host="127.0.0.1"), set()),
        (ServerSettings(host="Gateway.lan"), {"gateway.lan"}),
        (ServerSettings(host="fd00::7"), {"fd00::7", "[fd00::7]"}),
        (ServerSettings(public_url="https://Farthing.example.com/llm"), {"farthing.example.com"}),
        (ServerSettings(public_url="http://farthing.example.com:8080"), {"farthing.example.com"}),
    ],
)
def test_loopback_our_host_and_the_public_name_are_ours_and_no_other(settings: ServerSettings, names: set[str]) -> None:
    assert _own_names(settings) == LOOPBACK | names
