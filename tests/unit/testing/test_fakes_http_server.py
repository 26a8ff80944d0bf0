import asyncio
import gc

import pytest

from farthing.testing.fakes.http_server import Exchange, HttpServer


async def unheard(exchange: Exchange) -> None:
    pytest.fail(f"nobody called, and yet {exchange.request.path} came")


@pytest.mark.parametrize("steps", range(6))
def test_a_start_that_is_cancelled_at_any_step_leaves_no_open_socket(
    steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    unraised: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", lambda told: unraised.append(told.exc_value))

    async def interrupted() -> None:
        server = HttpServer(unheard)
        starting = asyncio.create_task(server.start())
        for _ in range(steps):
            await asyncio.sleep(0)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await server.close()

    asyncio.run(interrupted())
    gc.collect()
    assert unraised == []
