import socket

import pytest

from farthing.config.addresses import port_on_this_machine
from farthing.config.reach import listens_everywhere, reachable_host, url_of


def test_an_address_that_can_be_called_is_shown_as_it_is() -> None:
    for host in ("127.0.0.1", "::1", "192.168.1.7", "gateway.example"):
        assert not listens_everywhere(host)
        assert reachable_host(host) == host
    assert url_of("127.0.0.1", 3000) == "http://127.0.0.1:3000"
    assert url_of("::1", 3000) == "http://[::1]:3000"


def test_where_every_address_is_listened_on_the_one_we_would_speak_from_is_shown() -> None:
    elsewhere = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "no address"}
    assert listens_everywhere("0.0.0.0")
    assert reachable_host("0.0.0.0", elsewhere) == "127.0.0.1"


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_machine_without_a_way_to_others_is_shown_by_its_name(host: str) -> None:
    nowhere = {socket.AF_INET: "no address", socket.AF_INET6: "no address"}
    assert reachable_host(host, nowhere) == socket.gethostname()


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("http://127.0.0.1:3000/v1", 3000),
        ("http://localhost", 80),
        ("https://[::1]", 443),
        ("http://192.168.1.7:3000", None),
        ("http://127.0.0.1:x", None),
        ("nonsense", None),
    ],
)
def test_a_url_is_known_to_lead_to_this_machine(url: str, port: int | None) -> None:
    assert port_on_this_machine(url) == port
