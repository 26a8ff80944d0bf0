"""What providers list reaches the catalogue: page after page, and without what is no name."""

import json
import logging
from collections.abc import Sequence

import pytest

from farthing.catalog.catalog import Catalog, CatalogProvider
from farthing.clock import SystemClock
from farthing.config.schema import CredentialSource, ProviderSettings
from farthing.gateway.live_models import MAX_PAGES, LiveModels
from farthing.gateway.provider_check import check_provider
from farthing.providers.openai_compatible import model_rows
from farthing.providers.pool import Dialer, Pool
from farthing.providers.protocol import Credential
from farthing.providers.registry import create_provider, known_providers
from farthing.wire.lenient import UNREADABLE
from tests.e2e.upstream import Script, Upstream, upstream, whole


async def learned(kind: str, *scripts: Script, rounds: int = 1) -> tuple[list[str], Upstream]:
    known = known_providers()[kind]
    with upstream(*scripts) as server:
        settings = ProviderSettings(
            name=kind, kind=kind, wire=known.wire, base_url=server.url, credential=CredentialSource("none")
        )
        catalog = Catalog(
            aliases={}, providers=[CatalogProvider(name=kind, kind=kind)], knows=lambda *_: False, names=lambda _: ()
        )
        for _ in range(rounds):
            pool = Pool(connect=Dialer())
            models = LiveModels(catalog, {kind: create_provider(settings, Credential())}, {kind: pool})
            await models.refresh()
            await models.close()
            await pool.close()
        return [listed.ref.model for listed in catalog.listing()], server


def page(names: Sequence[str], token: str = "") -> Script:
    return whole(
        json.dumps({"models": [{"name": f"models/{name}"} for name in names], "nextPageToken": token}).encode()
    )


async def test_googles_pages_are_followed() -> None:
    names, server = await learned("gemini", page("ab", "t 2"), page("c"))
    assert names == ["a", "b", "c"]
    first, second = (request.split(b" ")[1] for request in server.requests)
    assert first == b"/v1beta/models?pageSize=1000"
    assert second == b"/v1beta/models?pageSize=1000&pageToken=t%202"


async def test_anthropics_pages_are_followed() -> None:
    first = whole(b'{"data":[{"id":"claude-a"}],"has_more":true,"last_id":"claude-a"}')
    names, server = await learned("anthropic", first, whole(b'{"data":[{"id":"claude-b"}],"has_more":false}'))
    assert names == ["claude-a", "claude-b"]
    assert server.requests[1].startswith(b"GET /v1/models?limit=1000&after_id=claude-a HTTP/1.1")


async def test_pages_without_an_end_are_left_after_some() -> None:
    names, server = await learned("gemini", page("a", "again"))
    assert names == ["a"]
    assert len(server.requests) == MAX_PAGES


async def test_a_page_that_fails_leaves_what_was_known() -> None:
    names, _ = await learned("gemini", page("ab"), page("c", "more"), whole(b"", "500 No"), rounds=2)
    assert names == ["a", "b"]


@pytest.mark.parametrize("kind", ["ollama", "vllm", "gemini"])
async def test_what_is_no_name_is_left_out_and_said_once(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    bad = ["", "x" * 513, "a\nb", "\x1b[2J", "a\u202eb"]
    if kind == "vllm":
        script = whole(json.dumps({"data": [{"id": name} for name in ["good:1b", *bad, 5, None]]}).encode())
    else:
        script = whole(json.dumps({"models": [{"name": name} for name in ["good:1b", *bad, 5, None]]}).encode())
    with caplog.at_level(logging.WARNING):
        names, _ = await learned(kind, script, rounds=1)
    assert names == ["good:1b"]
    (record,) = caplog.records
    assert f"provider {kind} lists names that are none" in record.getMessage()
    assert record.getMessage().isprintable()


async def test_it_is_said_once_for_each_provider(caplog: pytest.LogCaptureFixture) -> None:
    known = known_providers()["vllm"]
    with upstream(whole(b'{"data":[{"id":"a\\nb"}]}')) as server:
        settings = ProviderSettings(
            name="lab", kind="vllm", wire=known.wire, base_url=server.url, credential=CredentialSource("none")
        )
        provider, pool = create_provider(settings, Credential()), Pool(connect=Dialer())
        catalog = Catalog(aliases={}, providers=[], knows=lambda *_: False, names=lambda _: ())
        models = LiveModels(catalog, {"lab": provider}, {"lab": pool}, keep_s=0.0)
        for _ in range(3):
            assert await models.refresh()
        await pool.close()
    assert len(server.requests) == 3
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b'[{"id":"a"}]', ["a"]),
        (b'{"data":[{"id":"a","name":"A"}]}', ["a"]),
        (b'{"models":[{"name":"a:1b","model":"a:1b"}]}', ["a:1b"]),
        (b'{"models":[{"name":"x"}],"object":"list","data":[{"id":"a"}]}', ["a"]),
        (b'{"models":null}', []),
        (b'{"data":[]}', []),
    ],
)
def test_a_list_of_models_has_many_shapes(body: bytes, names: list[str]) -> None:
    assert [row.called for row in model_rows(body)] == names


@pytest.mark.parametrize("body", [b"{}", b"<html>", b'{"error":"x"}', b"5", b"null", b'{"data":5}', b"[5]", b""])
def test_what_is_no_list_is_told(body: bytes) -> None:
    with pytest.raises(UNREADABLE):
        model_rows(body)


async def test_a_provider_without_a_list_is_not_said_to_be_broken() -> None:
    known = known_providers()["azure"]
    settings = ProviderSettings(
        name="foundry",
        kind="azure",
        wire=known.wire,
        base_url="http://127.0.0.1:1/models",
        credential=CredentialSource("none"),
    )
    check = await check_provider(create_provider(settings, Credential()), Dialer(), SystemClock())
    assert (check.ok, check.reason) == (False, "it has no list of models, so it was not asked")
    assert check.hint == "make a call to see whether it answers"
