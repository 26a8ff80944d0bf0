"""What becomes of a try that got no answer: whatever ended it, the attempt does not stay open."""

from farthing.errors import FarthingError, ProviderError
from farthing.gateway.answers import outcome_of, settle_unfinished
from farthing.gateway.attempts import LiveAttempt
from farthing.providers.pool import nothing_sent


def settle_without_answer(attempt: LiveAttempt, error: BaseException) -> None:
    """Settle an attempt whose request ended with `error` in the place of an answer's head."""
    match error:
        case ProviderError() if not nothing_sent(error):
            attempt.settle_unanswered(outcome_of(error), error.code, error.message)
        case FarthingError():
            attempt.settle_unsent(error.code, error.message)
        case _:  # the client left, or an error nobody expected
            settle_unfinished(attempt, error)
