import gzip
import hashlib
import io
import os
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farthing.errors import StoreError
from farthing.storage.archive import MAX_FILES, ArchiveUnusable, Manifest, read_archive, write_archive

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


def test_a_long_name_is_read_from_its_further_header(tmp_path: Path) -> None:
    name = f"journal/{'x' * 180}.journal"
    (tmp_path / "one").write_bytes(b"told")
    path = tmp_path / "made.tar.gz"
    write_archive(path, {name: tmp_path / "one"}, farthing="0.1.0", made_at_us=5, database_version=None)
    assert restored(path, tmp_path / "out") == {name: b"told"}


def test_a_size_is_read_from_its_further_header_as_one_beyond_8_gb_is(archive: Path, tmp_path: Path) -> None:
    told = b""
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            content = tar.extractfile(member)
            assert content is not None
            member.pax_headers, member.size, data = {"size": str(member.size)}, 0, content.read()
            told += member.tobuf(tarfile.PAX_FORMAT) + data + bytes(-len(data) % 512)
    archive.write_bytes(gzip.compress(told))
    assert restored(archive, tmp_path / "out") == CONTENT


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE])
def test_a_header_that_unpacks_to_much_is_refused_before_it_is_read(tmp_path: Path, kind: bytes) -> None:
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = kind, 64 << 20
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(gzip.compress(header.tobuf(tarfile.USTAR_FORMAT) + bytes(header.size), 1))
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveUnusable):
            restored(path, tmp_path / "out")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_chain_of_headers_is_no_backup(tmp_path: Path) -> None:
    path = tmp_path / "chain.tar.gz"
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE):
        header = tarfile.TarInfo("././@LongLink")
        header.type, header.size = kind, 10
        path.write_bytes(gzip.compress((header.tobuf(tarfile.USTAR_FORMAT) + b"10 path=x\n".ljust(512, b"\0")) * 5_000))
        with pytest.raises(ArchiveUnusable, match="is no backup of Farthing"):
            restored(path, tmp_path / f"out-{kind.decode()}")


@pytest.mark.parametrize(
    "changes",
    [
        {"made_at_us": 10**19},
        {"made_at_us": -(10**17)},
        {"made_at_us": 253_402_300_800_000_000},
        {"farthing": "0.1\x1b[2J"},
        {"farthing": ""},
        {"files": []},
        {"files": [{"name": "pepper", "size_bytes": -5, "sha256": "x"}]},
    ],
    ids=str,
)
def test_a_list_that_makes_no_sense_is_damage(archive: Path, tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(ArchiveUnusable, match="is damaged"):
        restored(with_manifest(archive, **changes), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_more_files_than_a_backup_takes_are_told(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"")
    files = {f"journal/{number}.journal": tmp_path / "one" for number in range(MAX_FILES + 1)}
    with pytest.raises(StoreError, match="The home has 4,097 files, and a backup takes 4,096"):
        write_archive(tmp_path / "made", files, farthing="0.1.0", made_at_us=5, database_version=None)
    assert not (tmp_path / "made").exists()


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
