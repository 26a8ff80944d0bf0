"""Everything here runs on both loops: their transports differ in when they write and how they report a cut."""

from collections.abc import AsyncIterator

import pytest
import trustme

from farthing.providers.pool import Pool
from tests.unit.pool.upstream import Certificates


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    pool = Pool()
    yield pool
    await pool.close()
    assert pool.stats.open == 0
    assert pool.stats.waiting == 0


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("authorities")
    ours, theirs = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(str(folder / "ours.pem"))
    theirs.cert_pem.write_to_path(str(folder / "theirs.pem"))
    return Certificates(ours, str(folder / "ours.pem"), str(folder / "theirs.pem"))
