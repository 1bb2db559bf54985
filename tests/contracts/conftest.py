"""Every implementation of what these suites ask."""

from __future__ import annotations

import pytest

from tests.limiting import InDatabase, InRedis, WithoutRedis
from tests.redis_server import running_redis


@pytest.fixture(scope="session")
def redis_server():
    with running_redis() as server:
        yield server


NEEDS_REDIS = [pytest.mark.needs("redis"), pytest.mark.needs("redis-server")]


@pytest.fixture(
    params=[
        "database",
        pytest.param("redis", marks=NEEDS_REDIS),
        pytest.param("without redis", marks=NEEDS_REDIS[:1]),
    ]
)
def stage(request, db_of_limiter):
    if request.param == "redis":
        return InRedis(request.getfixturevalue("redis_server"))
    return InDatabase() if request.param == "database" else WithoutRedis()


@pytest.fixture
def db_of_limiter(transactional_db):
    """Committed for real: a limiter counts in a transaction of its own."""
