"""Sends one try to its provider; whatever comes of it, the attempt does not stay open."""

from farthing.errors import FarthingError, ProviderError
from farthing.gateway.answers import outcome_of, settle_unfinished
from farthing.gateway.attempts import LiveAttempt
from farthing.gateway.bounds import COSTS_NOTHING
from farthing.gateway.call import Client
from farthing.providers.pool import Answer, Pool, nothing_sent
from farthing.providers.protocol import Provider


async def send(
    pool: Pool, provider: Provider, head: bytes, pieces: list[bytes], attempt: LiveAttempt, client: Client
) -> Answer:
    """Return the head of the answer; what is raised in its place has settled the attempt.

    Once the request is with a provider that costs money, its answer is waited for even though the client leaves:
    nobody else tells what it cost. One that is free is left at once, and stops working.
    """
    try:
        sent = None if provider.free or attempt.opening.operation in COSTS_NOTHING else client.stay
        return await pool.send(provider.origin, head, pieces, provider.timeouts, sent)
    except ProviderError as error:
        if nothing_sent(error):
            attempt.settle_unsent(error.code, error.message)
        else:
            attempt.settle_unanswered(outcome_of(error), error.code, error.message)
        raise
    except FarthingError as error:
        attempt.settle_unsent(error.code, error.message)
        raise
    except BaseException as error:
        # Whatever ends this task, no attempt stays open: the client left, or an error nobody expected.
        settle_unfinished(attempt, error)
        raise
