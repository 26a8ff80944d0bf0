import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec import structs

from farthing.catalog.prices import PriceBook, price_book
from farthing.config.load import load_settings
from farthing.config.local_ollama import Knock, local_address
from farthing.config.schema import CredentialSource, ProviderSettings, Settings
from farthing.gateway.crash_prices import price_at_crash
from farthing.providers.registry import known_providers
from farthing.types.usage import Usage
from tests.contracts.ledger_samples import opening

VERSION = b'HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n{"version":"0.13.0"}'


@pytest.mark.parametrize(
    ("said", "address"),
    [
        (None, "http://127.0.0.1:11434"),
        ("", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:9999", "http://127.0.0.1:9999"),
        (":9999", "http://127.0.0.1:9999"),
        ('"127.0.0.1:9999"', "http://127.0.0.1:9999"),
        ("localhost:9999/", "http://localhost:9999"),
        ("http://localhost", "http://localhost:80"),
        ("[::]:9999", "http://[::1]:9999"),
        # A gateway's address is for clients; it says nothing of where an Ollama is.
        ("http://127.0.0.1:3000/k/ft-key", "http://127.0.0.1:11434"),
        # Another machine's is for the operator to name.
        ("192.0.2.1", None),
        ("gpu.lab.example:11434", None),
        ("https://127.0.0.1:9999", None),
        ("127.0.0.1:99999", None),
        ("127.0.0.1:0", None),
        ("::1", None),
    ],
)
def test_an_ollama_is_looked_for_where_its_own_variable_says_on_this_machine(
    said: str | None, address: str | None
) -> None:
    assert local_address({} if said is None else {"OLLAMA_HOST": said}) == address


@contextmanager
def listening(answer: bytes | None) -> Iterator[str]:
    """Answer one connection; without an answer keep it open until the other side leaves."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            if answer is None:
                connection.recv(1)
            else:
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (VERSION, True),
        (b"HTTP/1.0 404 Not Found\r\n\r\n", False),
        (b'HTTP/1.0 401 Unauthorized\r\n\r\n{"version":1}', False),
        (b"HTTP/1.0 200 OK\r\n\r\n<html>another program</html>", False),
        (b"220 mail.example ESMTP\r\n", False),
        (b"", False),
        (None, False),
    ],
)
def test_only_who_answers_as_an_ollama_is_one_and_nobody_is_waited_for_long(answer: bytes | None, found: bool) -> None:
    with listening(answer) as address:
        began = time.perf_counter()
        assert Knock(address).answered() is found
        assert time.perf_counter() - began < 1  # 0.2 s by itself, on a machine that does nothing else


def test_where_nobody_listens_nothing_is_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    began = time.perf_counter()
    assert not Knock(f"http://127.0.0.1:{port}").answered()
    assert not Knock(f"http://localhost:{port}").answered()
    assert time.perf_counter() - began < 0.1


def test_a_crashed_attempt_of_an_ollama_that_was_found_costs_nothing_though_nobody_looks_for_it_now() -> None:
    found = ProviderSettings(
        name="ollama",
        kind="ollama",
        wire="ollama",
        base_url="http://127.0.0.1:11434",
        credential=CredentialSource("none"),
        free=True,
    )
    begun = structs.replace(opening(1), provider="ollama")
    usage = Usage(input_tokens=10, output_tokens=5)
    settings = Settings(providers={}, models={}, local={"ollama": found})
    assert price_at_crash(settings, PriceBook(()))(begun, usage)[0] == 0
    assert price_at_crash(structs.replace(settings, local={}), PriceBook(()))(begun, usage) == (None, None)


def test_a_crash_costs_the_same_whatever_keys_whoever_looks_first_has(tmp_path: Path) -> None:
    known = known_providers()

    def look(environment: dict[str, str]) -> tuple[int | None, str | None]:
        settings = load_settings(tmp_path / "settings.yaml", known=known, environment=environment)
        return price_at_crash(settings, price_book((), tmp_path))(begun, Usage(input_tokens=10, output_tokens=5))

    begun = structs.replace(opening(1), provider="openai", model="gpt-4o-mini")
    cost, price_id = look({"OPENAI_API_KEY": "x"})
    assert cost
    assert look({}) == (cost, price_id)
    begun = structs.replace(begun, provider="lab")  # one of its own, which the file does not have any more
    assert look({}) == (None, None)
