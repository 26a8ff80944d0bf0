"""An address of a database or a Redis whose password was not written as it must be: nothing of it is shown."""

import pytest

from farthing.errors import ConfigError, StoreError
from farthing.storage.postgres.address import Address
from farthing.storage.redis.windows import RedisWindows


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hun/ter2@host/db",
        "postgresql://u:hun#ter2@host/db",
        "postgresql://u:hun?ter2@host/db",
        "postgresql://u:a@hun/ter2@host/db",
        "postgresql://u:12/hunter2@host/db",
        "postgresql://u:hunter2",
    ],
)
def test_a_database_whose_password_has_a_bare_sign_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(StoreError, match="cannot be read") as refused:
        Address(url)
    assert "hun" not in str(refused.value)
    assert "%2F" in str(refused.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:hun%2Fter2@host:5432/db", "postgresql://u@host:5432/db"),
        ("postgresql://u:hunter2@[::1]:5432/db?password=hunter2&sslmode=require", "[::1]:5432/db?sslmode=require"),
        ("postgresql://u:hunter2@one:1,two:2/db", "u@one:1,two:2/db"),
        ("postgresql://u@/db?host=/run/pg", "postgresql://u@/db?host=/run/pg"),
    ],
)
def test_a_database_is_shown_without_its_password(url: str, shown: str) -> None:
    address = Address(url)
    assert shown in str(address)
    assert "hun" not in f"{address} {address!r}"


@pytest.mark.parametrize(
    "url", ["redis://:hun/ter2@host:6379/0", "redis://u:12/hunter2@host", "redis://:hun#ter2@h/0", "hunter2"]
)
def test_a_redis_whose_password_has_a_bare_sign_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read") as refused:
        RedisWindows(url)
    assert "hun" not in str(refused.value)
