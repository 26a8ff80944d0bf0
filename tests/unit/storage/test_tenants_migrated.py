"""A token from before organisations stood in them is for the one in which its manager could make keys."""

from pathlib import Path

from farthing.storage.offload import ThreadOffload
from farthing.storage.sqlite import SqliteStore
from farthing.storage.sqlite.database import open_database, shipped_migrations

_BEFORE = next(one.number for one in shipped_migrations() if "tenants" in one.name) - 1


def _old_home(path: Path, *statements: str) -> None:
    connection = open_database(path, shipped_migrations()[:_BEFORE])
    for statement in statements:
        connection.execute(statement)
    connection.close()


def _token(name: str, team: str) -> str:
    digest = name.encode().hex()
    return f"INSERT INTO admin_tokens VALUES ('tok_{name}', '{name}', 'viewer', {team}, '', x'{digest}', 0, NULL, NULL)"


def _key(number: int, organisation: str, team: str, deleted: str = "NULL") -> str:
    return (
        "INSERT INTO keys (id, name, shown, digest, created_at_us, organisation, team, deleted_at_us, changed) "
        f"VALUES ('key_{number}', 'n{number}', '', x'{number:02}', 0, '{organisation}', '{team}', {deleted}, {number})"
    )


async def test_old_tokens_are_for_the_organisation_of_their_teams_first_key(tmp_path: Path) -> None:
    path = tmp_path / "farthing.db"
    _old_home(
        path,
        _key(1, "gone", "red", "1"),
        _key(2, "acme", "red"),
        _key(3, "globex", "red"),
        _token("a", "'red'"),
        _token("b", "'new'"),
        _token("c", "NULL"),
    )
    offload = ThreadOffload()
    store = SqliteStore(path, offload)
    await store.open()
    tokens = await store.admin.tokens()
    await store.close()
    await offload.close()
    assert [(one.organisation, one.team) for one in tokens] == [("acme", "red"), ("default", "new"), (None, None)]
