"""What workers tell each other of the limits of credentials, by a note in the home."""

from pathlib import Path

from farthing.config.schema import CredentialSource, ProviderSettings
from farthing.gateway.accounts import MAX_REST_S, Account, Accounts, Opened
from farthing.gateway.headers import Headers
from farthing.gateway.limits_note import overhear, read_note, told_by, write_note
from farthing.providers.protocol import Credential
from farthing.providers.registry import create_provider
from farthing.types.calls import Attribution
from farthing.types.secret import Secret

NOW_US = 1_795_000_000_000_000
S = 1_000_000
SETTINGS = ProviderSettings(
    name="openai",
    kind="openai",
    wire="openai_chat",
    base_url="http://127.0.0.1:1/v1",
    credential=CredentialSource("env", "a"),
)


def worker(since_us: int = NOW_US - 60 * S) -> Accounts:
    accounts = []
    for name in "ab":
        credential = Credential(secret=Secret(f"sk-{name}"))
        source = CredentialSource("env", name)
        provider = create_provider(SETTINGS, credential)
        accounts.append(Account(Opened(str(source), source, credential), provider, since_us))
    return Accounts(accounts)


def used(of: Accounts, at_us: int = NOW_US, model: str = "m") -> set[str | None]:
    return {of.choose(model, Attribution(key_id="k"), at_us).opened.name for _ in range(4)}


def tell(path: Path, of: Accounts, at_us: int, *others: Accounts) -> None:
    write_note(path, told_by({"openai": of}, at_us), at_us)
    for other in others:
        overhear({"openai": other}, read_note(path, at_us), at_us)


def spent(reset: bytes) -> Headers:
    return [(b"x-ratelimit-remaining-requests", b"0"), (b"x-ratelimit-reset-requests", reset)]


def test_a_credential_that_rests_in_one_worker_rests_in_all_and_for_the_same_time(tmp_path: Path) -> None:
    first, second = worker(), worker()
    first.refused(first.all[0], "m", 429, "", [(b"retry-after", b"30")], NOW_US)
    tell(tmp_path / "note", first, NOW_US + 2 * S, second)
    assert used(second, NOW_US + 2 * S) == {"env:b"}
    assert used(second, NOW_US + 2 * S, "another") == {"env:a", "env:b"}
    tell(tmp_path / "note", second, NOW_US + 20 * S, first)
    assert used(first, NOW_US + 30 * S) == used(second, NOW_US + 30 * S) == {"env:a", "env:b"}


def test_a_limit_that_one_worker_saw_used_up_is_run_into_by_none(tmp_path: Path) -> None:
    first, second = worker(), worker()
    first.all[0].note("m", spent(b"40s"), NOW_US)
    tell(tmp_path / "note", first, NOW_US + S, second)
    assert used(second, NOW_US + 39 * S) == {"env:b"}
    assert used(second, NOW_US + 41 * S) == {"env:a", "env:b"}
    first.all[1].note("m", spent(b"9h"), NOW_US)
    tell(tmp_path / "note", first, NOW_US + 50 * S, second)
    assert used(second, NOW_US + 50 * S) == {"env:a"}
    assert used(second, NOW_US + MAX_REST_S * S) == {"env:a", "env:b"}


def test_what_was_said_of_another_secret_or_before_a_later_answer_counts_nothing(tmp_path: Path) -> None:
    first, mended, served = worker(), worker(since_us=NOW_US + S), worker()
    first.refused(first.all[0], "m", 429, "", [(b"retry-after", b"30")], NOW_US)
    served.all[0].note("m", [], NOW_US + S)
    tell(tmp_path / "note", first, NOW_US + 2 * S, mended, served)
    assert used(mended, NOW_US + 2 * S) == {"env:a", "env:b"}
    assert used(served, NOW_US + 2 * S) == {"env:a", "env:b"}


def test_what_a_worker_heard_from_others_it_does_not_tell_again(tmp_path: Path) -> None:
    first, second = worker(), worker()
    first.refused(first.all[0], "m", 429, "", [(b"retry-after", b"30")], NOW_US)
    tell(tmp_path / "note", first, NOW_US + S, second)
    assert told_by({"openai": second}, NOW_US + S) == []
