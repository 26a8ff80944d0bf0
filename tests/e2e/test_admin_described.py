"""The OpenAPI document against the running gateway: what is taken and answered is what it describes."""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from farthing.server.admin.openapi import document
from farthing.server.admin.reading import read_body
from farthing.server.admin.routes import Nothing
from farthing.server.admin.table import ADMIN_TABLE
from farthing.server.admin.words import EXAMPLES
from tests.e2e.serving import ANSWER, said
from tests.e2e.serving import settings as settings_of
from tests.e2e.support import Gateway, request, running_gateway
from tests.e2e.upstream import Upstream, whole

TOKEN = "an-admin-token-of-the-tests"
TRIES = max(2, int(3 * float(os.environ.get("FARTHING_CI_SCALE", "1"))))
DESCRIBED: Any = schemathesis.openapi.from_dict(document(ADMIN_TABLE.routes))
OPERATIONS = [one for found in DESCRIBED.get_all_operations() if not (one := found.ok()).path.endswith("/events")]
"""All but the stream of events, which has no end to be looked at."""
CHECKS: Any = [status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    server = Upstream(whole(ANSWER))
    home = tmp_path_factory.mktemp("home")
    text = settings_of(server).removeprefix("version: 1\n")
    with running_gateway(home, text, KEY="sk-real", FARTHING_ADMIN_TOKEN=TOKEN) as running:
        yield running
        assert "an error nobody expected" not in said(home)
    server.close()


def test_what_is_served_is_the_description_of_what_is_served(gateway: Gateway) -> None:
    answer = request(gateway.port, "GET", "/admin/v1/openapi.json", headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.json() == json.loads(json.dumps(document(ADMIN_TABLE.routes)))
    DESCRIBED.validate()
    described = {(path, method) for path, methods in answer.json()["paths"].items() for method in methods}
    assert len(described) == len(ADMIN_TABLE.routes)


def test_every_operation_and_every_member_is_described_and_every_body_has_an_example_that_may_be_sent() -> None:
    told = document(ADMIN_TABLE.routes)
    without = [
        f"{name}.{member}"
        for name, schema in told["components"]["schemas"].items()
        for member, of_it in schema.get("properties", {}).items()
        if not of_it.get("description")
    ]
    for methods in told["paths"].values():
        for operation in methods.values():
            assert operation["summary"], operation["operationId"]
            queries = [one for one in operation.get("parameters", ()) if one["in"] == "query"]
            without += [f"{operation['operationId']}?{one['name']}" for one in queries if not one.get("description")]
    assert without == [], "server/admin/words.py has the sentences"
    assert set(EXAMPLES) == {route.name for route in ADMIN_TABLE.routes if route.takes is not Nothing}
    for route in ADMIN_TABLE.routes:
        if route.takes is not Nothing:
            read_body(json.dumps(EXAMPLES[route.name]).encode(), route.takes)


@pytest.mark.parametrize("operation", OPERATIONS, ids=[operation.label for operation in OPERATIONS])
def test_whatever_is_sent_is_answered_as_described(gateway: Gateway, operation: Any) -> None:
    """By what fits the description, and by what does not."""
    for mode in schemathesis.GenerationMode:

        @settings(
            max_examples=TRIES,
            database=None,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def send(case: Any) -> None:
            case.headers = {**dict(case.headers or {}), "authorization": f"Bearer {TOKEN}"}
            answer = case.call(base_url=gateway.url)
            assert answer.status_code != 500, answer.text
            if answer.status_code != 405:
                case.validate_response(answer, checks=CHECKS)

        send()
