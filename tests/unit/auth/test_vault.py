"""The vault over a real store, with master keys in each place that they may be in."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from farthing.auth.master_key import MAX_KEYS, VARIABLE, MasterKeys
from farthing.auth.sealing import MasterKey, Sealed, seal, unseal
from farthing.auth.vault import Vault
from farthing.clock import SystemClock
from farthing.errors import FarthingError, InvalidRequest, RecordTampered, StoreError, VaultLocked
from farthing.storage.memory import MemoryStore
from farthing.storage.offload import ThreadOffload
from farthing.storage.protocols import CredentialRecord, CredentialStore
from farthing.types.credentials import Quotas
from farthing.types.identity import IdSource
from farthing.types.secret import Secret

SECRET = Secret("sk-canary-in-the-vault-Zq7")
KEYS = [bytes([n]) * 32 for n in range(1, 4)]
HEX = [key.hex() for key in KEYS]


@pytest.fixture
async def offload() -> AsyncIterator[ThreadOffload]:
    made = ThreadOffload()
    yield made
    await made.close()


class Place:
    """A home with a store, and vaults that are opened in it, each as another process would."""

    def __init__(self, folder: Path, offload: ThreadOffload) -> None:
        self.file = folder / "master.key"
        self.store: CredentialStore = MemoryStore().credentials
        self._offload = offload

    def vault(self, **environment: str) -> Vault:
        clock = SystemClock()
        keys = MasterKeys(self.file, environment, os.urandom)
        ids = IdSource(clock, os.urandom)
        return Vault(self.store, keys, self._offload, clock=clock, ids=ids, random_bytes=os.urandom)

    async def secrets(self, **environment: str) -> dict[str, str | None]:
        held = await self.vault(**environment).held()
        return {one.record.name: None if one.secret is None else one.secret.reveal() for one in held}


@pytest.fixture
def place(tmp_path: Path, offload: ThreadOffload) -> Place:
    return Place(tmp_path, offload)


async def test_what_is_put_in_comes_out_also_in_another_process(place: Place) -> None:
    record = await place.vault().add("openai", SECRET, weight=3, quotas=Quotas(requests_per_minute=5))
    assert (record.name, record.weight, record.enabled, record.quotas.requests_per_minute) == ("openai-1", 3, True, 5)
    assert await place.secrets() == {"openai-1": SECRET.reveal()}
    assert await place.vault().secret("openai-1") == (record, SECRET)


async def test_the_store_holds_nothing_of_the_secret(place: Place) -> None:
    record = await place.vault().add("openai", SECRET)
    assert SECRET.reveal().encode() not in msgspec.json.encode(record)
    assert SECRET.reveal() not in repr(record)


async def test_names_are_counted_and_taken_once(place: Place) -> None:
    vault = place.vault()
    names = [(await vault.add("openai", SECRET, name=name)).name for name in (None, "work", None)]
    assert names == ["openai-1", "work", "openai-2"]
    with pytest.raises(InvalidRequest, match="'work' exists already"):
        await vault.add("groq", SECRET, name="work")
    with pytest.raises(InvalidRequest, match="is no name"):
        await vault.add("groq", SECRET, name="two words")


@pytest.mark.parametrize("secret", ["", "ft-a-key-of-ours", "two words", "line\nline", "schlüssel", "x" * 20_000])
async def test_what_no_provider_could_have_given_is_refused_and_not_repeated(place: Place, secret: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await place.vault().add("openai", Secret(secret))
    assert not secret or secret not in str(caught.value)
    assert not place.file.exists(), "nothing was sealed, so no key is needed"


async def test_a_secret_is_exchanged_and_the_rest_stays(place: Place) -> None:
    vault = place.vault()
    before = await vault.add("openai", SECRET, weight=7)
    after = await vault.rotate("openai-1", Secret("sk-new"))
    assert (after.id, after.weight) == (before.id, 7)
    assert after.rotated_at_us is not None
    assert await place.secrets() == {"openai-1": "sk-new"}


async def test_what_is_disabled_is_not_opened(place: Place) -> None:
    vault = place.vault()
    await vault.add("openai", SECRET)
    await vault.change("openai-1", enabled=False)
    assert await place.secrets() == {}
    changed = await vault.change("openai-1", enabled=True, weight=9, quotas=Quotas(nanousd_per_day=5))
    assert (changed.enabled, changed.weight, changed.quotas.nanousd_per_day) == (True, 9, 5)
    assert await place.secrets() == {"openai-1": SECRET.reveal()}


async def test_what_is_removed_is_gone_and_needs_no_key(place: Place) -> None:
    vault = place.vault()
    await vault.add("openai", SECRET)
    await vault.add("openai", SECRET)
    place.file.unlink()
    assert [one.name for one in await vault.remove("openai-2")] == ["openai-2"]
    assert [one.name for one in await place.vault().remove(None)] == ["openai-1"]
    assert await vault.records() == []


async def test_an_unknown_name_is_told_with_those_that_are_near(place: Place) -> None:
    await place.vault().add("openai", SECRET)
    with pytest.raises(InvalidRequest, match="Unknown credential 'opena-1'; nearest: openai-1"):
        await place.vault().rotate("opena-1", SECRET)
    with pytest.raises(InvalidRequest) as caught:  # a secret in the place of a name
        await place.vault().change(SECRET.reveal(), enabled=False)
    assert SECRET.reveal() not in str(caught.value)


# ---- the master key


async def test_the_key_is_made_once_in_a_file_for_its_owner_only(place: Place) -> None:
    await place.vault().add("openai", SECRET)
    first = place.file.read_bytes()
    assert place.file.stat().st_mode & 0o777 == 0o600
    await place.vault().add("openai", SECRET)
    assert place.file.read_bytes() == first


@pytest.mark.parametrize("written", [HEX[0], HEX[0].upper(), "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", "file"])
async def test_the_environments_key_is_used_however_it_is_written(place: Place, tmp_path: Path, written: str) -> None:
    if written == "file":
        (tmp_path / "key").write_text(f"# ours\n{HEX[0]}\n")
        written = f"file:{tmp_path / 'key'}"
    record = await place.vault(FARTHING_MASTER_KEY=written).add("openai", SECRET)
    assert record.key_id == MasterKey(KEYS[0]).id
    assert not place.file.exists()
    assert await place.secrets(FARTHING_MASTER_KEY=HEX[0]) == {"openai-1": SECRET.reveal()}


@pytest.mark.parametrize("written", ["correct horse battery staple", "00", "x" * 64, "file:/not/there", HEX[0] * 2])
async def test_what_is_no_key_is_refused_and_not_repeated(place: Place, written: str) -> None:
    with pytest.raises(VaultLocked) as caught:
        await place.vault(FARTHING_MASTER_KEY=written).add("openai", SECRET)
    assert VARIABLE in str(caught.value)
    assert written.startswith("file:") or written == "00" or written not in str(caught.value)
    assert await place.store.records() == []
    assert not place.file.exists()


async def missing(place: Place) -> dict[str, str]:
    place.file.unlink()
    return {}


async def another(place: Place) -> dict[str, str]:
    place.file.write_text(HEX[1])
    return {}


async def another_in_the_environment(place: Place) -> dict[str, str]:
    place.file.unlink()
    return {VARIABLE: HEX[1]}


async def spoiled(place: Place) -> dict[str, str]:
    place.file.write_text("not a key")
    return {}


@pytest.mark.parametrize("lost", [missing, another, another_in_the_environment, spoiled])
async def test_without_its_key_the_vault_is_locked_and_nothing_is_touched(place: Place, lost: object) -> None:
    assert callable(lost)
    record = await place.vault().add("openai", SECRET)
    environment: Mapping[str, str] = await lost(place)
    files = {path.name: path.read_bytes() for path in place.file.parent.iterdir()}
    vault = place.vault(**environment)
    for refused in (
        vault.add("openai", SECRET),
        vault.rotate("openai-1", SECRET),
        vault.secret("openai-1"),
        vault.change_master_key(),
    ):
        with pytest.raises(VaultLocked) as caught:
            await refused
        assert HEX[1] not in str(caught.value)
    (held,) = await vault.held()
    assert held.secret is None
    assert held.problem
    assert await place.store.records() == [record]
    assert {path.name: path.read_bytes() for path in place.file.parent.iterdir()} == files


async def test_a_key_that_others_could_read_is_closed_to_them(place: Place) -> None:
    await place.vault().add("openai", SECRET)
    place.file.chmod(0o644)
    assert await place.secrets() == {"openai-1": SECRET.reveal()}
    assert place.file.stat().st_mode & 0o777 == 0o600


async def test_a_key_that_another_account_put_there_counts_nothing(place: Place) -> None:
    await place.vault().add("openai", SECRET)
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root gives files away")
    os.chown(place.file, 12_345, -1)
    (held,) = await place.vault().held()
    assert held.problem is not None
    assert "belongs to another account (uid 12345)" in held.problem


async def test_a_link_is_not_followed_to_a_key(place: Place, tmp_path: Path) -> None:
    await place.vault().add("openai", SECRET)
    place.file.rename(tmp_path / "elsewhere")
    place.file.symlink_to(tmp_path / "elsewhere")
    (held,) = await place.vault().held()
    assert held.problem is not None
    assert "cannot be used" in held.problem


# ---- records that somebody changed


@pytest.mark.parametrize("field", ["ciphertext", "nonce", "id", "provider"])
async def test_a_record_that_was_changed_does_not_open(place: Place, field: str) -> None:
    record = await place.vault().add("openai", SECRET)
    value = getattr(record, field)
    other = value[:-1] + (b"\0" if value[-1:] != b"\0" else b"\1") if isinstance(value, bytes) else f"{value}x"
    tampered = msgspec.structs.replace(record, **{field: other})
    await place.store.swap([record], [tampered])
    with pytest.raises(RecordTampered, match="is not what was sealed"):
        await place.vault().secret("openai-1")
    with pytest.raises(RecordTampered):
        await place.vault().change_master_key()
    assert await place.store.records() == [tampered]
    (held,) = await place.vault().held()
    assert held.secret is None


async def test_two_records_cannot_exchange_their_secrets(place: Place) -> None:
    vault = place.vault()
    one, two = await vault.add("openai", SECRET), await vault.add("groq", Secret("sk-other"))
    taken = msgspec.structs.replace(two, ciphertext=one.ciphertext, nonce=one.nonce)
    await place.store.swap([one, two], [one, taken])
    assert await place.secrets() == {"openai-1": SECRET.reveal(), "groq-1": None}


async def test_nothing_of_the_key_or_the_secret_is_in_what_is_raised_or_shown() -> None:
    key = MasterKey(KEYS[0])
    sealed = seal(SECRET, key, record_id="a", provider="b", random_bytes=os.urandom)
    with pytest.raises(RecordTampered) as caught:
        unseal(sealed, key, record_id="a", provider="c")
    shown = f"{caught.value!r} {key!r} {key} {sealed!r} {caught.value.__cause__!r}"
    assert caught.value.__suppress_context__
    assert HEX[0] not in shown
    assert SECRET.reveal() not in shown
    with pytest.raises(VaultLocked):
        unseal(Sealed(sealed.ciphertext, sealed.nonce, "another"), key, record_id="a", provider="b")


# ---- another master key


async def test_another_master_key_opens_everything_and_the_old_one_is_gone(place: Place) -> None:
    vault = place.vault()
    for _ in range(3):
        await vault.add("openai", SECRET)
    before, old = await vault.records(), place.file.read_text()
    assert await vault.change_master_key() == (3, repr(str(place.file)))
    after = await vault.records()
    assert {one.key_id for one in after}.isdisjoint(one.key_id for one in before)
    assert {one.nonce for one in after}.isdisjoint(one.nonce for one in before)
    assert set(await place.secrets()) == {"openai-1", "openai-2", "openai-3"}
    assert None not in (await place.secrets()).values()
    assert old.splitlines()[-1] not in place.file.read_text()


@pytest.mark.parametrize("swapped", [False, True])
async def test_whoever_dies_while_the_key_changes_leaves_what_can_be_opened(place: Place, swapped: bool) -> None:
    class Power(Exception):
        pass

    class Mortal:
        def __init__(self, store: CredentialStore) -> None:
            self.records, self.counter, self._store = store.records, store.counter, store

        async def swap(self, before: Sequence[CredentialRecord], after: Sequence[CredentialRecord]) -> bool:
            if swapped:
                await self._store.swap(before, after)
            raise Power

    await place.vault().add("openai", SECRET)
    whole = place.store
    place.store = Mortal(whole)
    with pytest.raises(Power):
        await place.vault().change_master_key()
    place.store = whole
    assert await place.secrets() == {"openai-1": SECRET.reveal()}
    await place.vault().change_master_key()
    assert await place.secrets() == {"openai-1": SECRET.reveal()}
    assert len(place.file.read_text().splitlines()) == 2  # what it is, and one key


@pytest.mark.parametrize("failing", ["tampered", "dying"])
async def test_however_often_a_change_of_the_key_fails_the_old_one_is_kept(place: Place, failing: str) -> None:
    record = await place.vault().add("openai", SECRET)
    whole, before = place.store, place.file.read_bytes()
    if failing == "tampered":
        spoiled = await place.vault().add("groq", SECRET)
        await place.store.swap([record, spoiled], [record, msgspec.structs.replace(spoiled, ciphertext=b"x" * 40)])
    else:
        place.store = Refusing(whole)
    for _ in range(MAX_KEYS + 2):
        with pytest.raises((RecordTampered, StoreError)):
            await place.vault().change_master_key()
    place.store = whole
    assert (await place.secrets())["openai-1"] == SECRET.reveal()
    if failing == "tampered":
        assert place.file.read_bytes() == before, "nothing was touched"


class Refusing:
    """A store that takes no change."""

    def __init__(self, store: CredentialStore) -> None:
        self.records, self.counter = store.records, store.counter

    async def swap(self, before: Sequence[CredentialRecord], after: Sequence[CredentialRecord]) -> bool:
        raise StoreError(f"{len(before)} records cannot become {len(after)} now")


async def test_the_operator_changes_the_key_in_the_environment(place: Place) -> None:
    await place.vault(FARTHING_MASTER_KEY=HEX[0]).add("openai", SECRET)
    with pytest.raises(VaultLocked, match="which only you can change"):
        await place.vault(FARTHING_MASTER_KEY=HEX[0]).change_master_key()
    both = f"{HEX[1]},{HEX[0]}"
    assert await place.secrets(FARTHING_MASTER_KEY=both) == {"openai-1": SECRET.reveal()}
    assert await place.vault(FARTHING_MASTER_KEY=both).change_master_key() == (1, VARIABLE)
    assert await place.secrets(FARTHING_MASTER_KEY=HEX[1]) == {"openai-1": SECRET.reveal()}
    assert await place.secrets(FARTHING_MASTER_KEY=HEX[0]) == {"openai-1": None}


async def test_a_key_moves_from_the_file_into_the_environment(place: Place) -> None:
    await place.vault().add("openai", SECRET)
    await place.vault(FARTHING_MASTER_KEY=HEX[2]).change_master_key()
    place.file.unlink()
    assert await place.secrets(FARTHING_MASTER_KEY=HEX[2]) == {"openai-1": SECRET.reveal()}


async def test_one_that_is_added_while_the_key_changes_can_be_opened(place: Place) -> None:
    """Both read the vault before either has written; whoever comes second begins anew with what is there now."""
    changing, adding = place.vault(), place.vault()
    await changing.add("openai", SECRET)
    await adding.held()  # remembers the old key
    stale = await place.store.records()

    class Late:
        """A store whose first answer is of a moment ago."""

        def __init__(self, store: CredentialStore) -> None:
            self.swap, self.counter, self._store, self._first = store.swap, store.counter, store, True

        async def records(self) -> list[CredentialRecord]:
            if self._first:
                self._first = False
                return stale
            return await self._store.records()

    adding._store = Late(place.store)
    await changing.change_master_key()
    await adding.add("openai", SECRET)
    assert len({one.key_id for one in await place.store.records()}) == 1
    assert None not in (await place.secrets()).values()


# ---- the system's keyring: a real one, of a backend that keeps its secrets in a file

BACKEND = """
import json, os, time
from keyring.backend import KeyringBackend
class Ring(KeyringBackend):
    priority = 5
    path = os.environ["RING"]
    def _all(self):
        return json.load(open(self.path)) if os.path.exists(self.path) else {}
    def get_password(self, service, name):
        if os.environ.get("ASKS"):
            time.sleep(600)
        return self._all().get(service + name)
    def set_password(self, service, name, value):
        told = {**self._all(), service + name: value}
        json.dump(told, open(self.path, "w"))
"""


def ring(folder: Path, **more: str) -> dict[str, str]:
    (folder / "own_ring.py").write_text(BACKEND)
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    variables = {"PYTHON_KEYRING_BACKEND": "own_ring.Ring", "RING": str(folder / "ring.json"), "PYTHONPATH": path}
    return {"PATH": os.environ["PATH"], **variables, **more}


async def test_a_keyring_keeps_the_key_where_there_is_one(place: Place, tmp_path: Path) -> None:
    environment = ring(tmp_path)
    await place.vault(**environment).add("openai", SECRET)
    assert not place.file.exists()
    assert await place.secrets(**environment) == {"openai-1": SECRET.reveal()}
    _, where = await place.vault(**environment).change_master_key()
    assert where == "the system's keyring"
    assert await place.secrets(**environment) == {"openai-1": SECRET.reveal()}
    (held,) = await place.vault().held()
    assert held.problem is not None
    assert "this account has no desktop session" in held.problem


async def test_a_keyring_that_asks_somebody_is_given_up(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farthing.auth.system_keyring.WAIT_S", 0.8)
    await place.vault(**ring(tmp_path, ASKS="1")).add("openai", SECRET)
    assert place.file.exists()


def test_errors_of_the_vault_are_ours_to_mend() -> None:
    assert issubclass(VaultLocked, FarthingError)
    assert (VaultLocked.status, RecordTampered.status) == (503, 503)
