import hashlib
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farthing.errors import StoreError
from farthing.storage.archive import ArchiveUnusable, Manifest, read_archive, write_archive

CONTENT = {"settings.yaml": b"version: 1\n", "pepper": bytes(range(32)), "journal/1-1-000001.journal": b"{}\n" * 400}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "made.tar.gz"
    made(path)
    return path


def made(path: Path) -> Manifest:
    files = {}
    for number, (name, content) in enumerate(CONTENT.items()):
        files[name] = path.with_name(f"source-{number}")
        files[name].write_bytes(content)
    return write_archive(path, files, farthing="0.1.0", made_at_us=5, database_version=None)


def restored(archive: Path, into: Path) -> dict[str, bytes]:
    into.mkdir()
    read_archive(archive, into)
    return {str(one.relative_to(into)): one.read_bytes() for one in into.rglob("*") if one.is_file()}


def rewritten(archive: Path, change: Callable[[str, bytes], list[tuple[str, bytes]]]) -> Path:
    """Write an archive again with other members: each becomes what `change` makes of it."""
    target = archive.with_name("changed.tar.gz")
    with tarfile.open(archive) as old, tarfile.open(target, "w:gz") as new:
        for member in old.getmembers():
            content = old.extractfile(member)
            assert content is not None
            for name, data in change(member.name, content.read()):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                new.addfile(info, io.BytesIO(data))
    return target


def with_manifest(archive: Path, **changes: object) -> Path:
    def change(name: str, data: bytes) -> list[tuple[str, bytes]]:
        if name == "manifest.json":
            told = msgspec.json.encode(msgspec.json.decode(data) | changes)
            return [(name, told), ("manifest.sha256", hashlib.sha256(told).hexdigest().encode())]
        return [] if name == "manifest.sha256" else [(name, data)]

    return rewritten(archive, change)


def test_what_was_put_in_comes_out(archive: Path, tmp_path: Path) -> None:
    assert restored(archive, tmp_path / "out") == CONTENT
    assert archive.stat().st_mode & 0o777 == 0o600
    modes = {one.stat().st_mode & 0o777 for one in (tmp_path / "out").rglob("*")}
    assert modes == {0o600, 0o700}


def test_an_archive_is_never_written_over_a_file(archive: Path) -> None:
    with pytest.raises(StoreError, match="File exists"):
        made(archive)


def test_a_file_of_another_kind_is_told(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.tar.gz"
    with tarfile.open(foreign, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("hello"), io.BytesIO())
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(ArchiveUnusable, match="is no backup of Farthing"):
        read_archive(foreign, into)
    foreign.write_bytes(b"plain words" * 100)
    with pytest.raises(ArchiveUnusable, match="is damaged"):
        read_archive(foreign, into)
    assert list(into.iterdir()) == []


def test_a_newer_kind_is_told_with_who_made_it(archive: Path, tmp_path: Path) -> None:
    newer = with_manifest(archive, version=2, farthing="9.9", more={"unknown": 1})
    with pytest.raises(ArchiveUnusable, match=r"of kind 2, made by Farthing '9.9'.*kinds up to 1.*install that"):
        restored(newer, tmp_path / "out")


@pytest.mark.parametrize(
    "name", ["../settings.yaml", "/etc/passwd", "journal/../../x", "journal/.hidden", "lock", "journal/a/b", "pepper "]
)
def test_a_name_that_has_no_place_in_a_home_is_refused_before_anything_is_written(
    archive: Path, tmp_path: Path, name: str
) -> None:
    bad = with_manifest(archive, files=[{"name": name, "size_bytes": 1, "sha256": "00"}])
    with pytest.raises(ArchiveUnusable, match="has no place in a home"):
        restored(bad, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda name, data: [] if name == "pepper" else [(name, data)],
        lambda name, data: [(name, data[:-1])] if name == "pepper" else [(name, data)],
        lambda name, data: [(name, bytes(len(data)))] if name == "pepper" else [(name, data)],
        lambda name, data: [(name, data), ("admin", b"x")] if name.startswith("journal") else [(name, data)],
        lambda name, data: [(name, data.replace(b"0.1.0", b"0.2.0"))],
        lambda name, data: [] if name == "manifest.sha256" else [(name, data)],
    ],
    ids=["missing", "short", "changed", "more", "list changed", "no sum"],
)
def test_what_is_not_as_it_is_listed_is_damage(
    archive: Path, tmp_path: Path, change: Callable[[str, bytes], list[tuple[str, bytes]]]
) -> None:
    with pytest.raises(ArchiveUnusable, match="is damaged"):
        restored(rewritten(archive, change), tmp_path / "out")


def test_a_link_is_no_file(archive: Path, tmp_path: Path) -> None:
    target = tmp_path / "links.tar.gz"
    with tarfile.open(archive) as old, tarfile.open(target, "w:gz") as new:
        for member in old.getmembers():
            content = old.extractfile(member)
            if member.name == "pepper":
                member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0
            new.addfile(member, content)
    with pytest.raises(ArchiveUnusable, match="'pepper' is not where it should be"):
        restored(target, tmp_path / "out")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_byte_that_changed_or_a_cut_gives_back_all_or_nothing(archive: Path, data: st.DataObject) -> None:
    whole = archive.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    cut = data.draw(st.booleans())
    spoiled = whole[:at] if cut else whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :]
    path = archive.with_name("spoiled")
    path.write_bytes(spoiled)
    into = archive.with_name(f"into-{os.urandom(8).hex()}")
    try:
        assert restored(path, into) == CONTENT  # a byte of the header or of the padding
    except ArchiveUnusable:
        pass
