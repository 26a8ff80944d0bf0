import hmac
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farthing.auth.keys import PEPPER_BYTES, Hasher, is_well_formed, load_pepper, new_token
from farthing.errors import StoreError
from tests.contracts.ledger_samples import seeded_bytes


@given(st.binary(min_size=32, max_size=32))
def test_a_key_has_always_the_same_form(random: bytes) -> None:
    token = new_token(lambda _: random)
    assert len(token) == 52
    assert token.startswith("ft-")
    assert token[3:].isalnum()
    assert is_well_formed(token)


def test_the_smallest_and_the_largest_key_fit() -> None:
    assert new_token(bytes) == "ft-" + "0" * 43 + new_token(bytes)[-6:]
    assert is_well_formed(new_token(lambda size: b"\xff" * size))


@given(st.integers(3, 51), st.characters(min_codepoint=33, max_codepoint=126))
def test_one_wrong_character_is_noticed(place: int, character: str) -> None:
    token = new_token(seeded_bytes(1))
    mistyped = token[:place] + character + token[place + 1 :]
    assert is_well_formed(mistyped) == (mistyped == token)


@pytest.mark.parametrize(
    "token", ["", "ft-", "sk-" + "0" * 49, "ft-" + "0" * 48, "ft-" + "é" * 49, "ft-" + "0" * 49 + "0"]
)
def test_other_texts_are_no_keys(token: str) -> None:
    assert not is_well_formed(token)


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=100))
def test_the_digest_is_hmac_sha256(pepper: bytes, token: bytes) -> None:
    assert Hasher(pepper).digest(token) == hmac.digest(pepper, token, "sha256")


def test_the_pepper_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "pepper"
    pepper = load_pepper(path, seeded_bytes(1))
    assert len(pepper) == PEPPER_BYTES
    assert load_pepper(path, seeded_bytes(2)) == pepper
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_pepper_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "pepper"
    load_pepper(path, seeded_bytes(1))
    path.chmod(0o644)
    load_pepper(path, seeded_bytes(1))
    assert path.stat().st_mode & 0o777 == 0o600


def test_two_first_starts_agree_on_one_pepper(tmp_path: Path) -> None:
    path = tmp_path / "pepper"

    def overtaken(size: int) -> bytes:
        path.write_bytes(b"f" * size)  # another process starts at the same moment and is faster
        return b"s" * size

    assert load_pepper(path, overtaken) == b"f" * PEPPER_BYTES


def test_a_pepper_of_the_wrong_size_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pepper").write_bytes(b"short")
    with pytest.raises(StoreError, match=r"holds 5 bytes, not 32.*put it back from a copy"):
        load_pepper(tmp_path / "pepper", seeded_bytes(1))


def test_a_pepper_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be used"):
        load_pepper(tmp_path / "missing" / "pepper", seeded_bytes(1))
