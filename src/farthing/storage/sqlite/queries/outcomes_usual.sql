-- How attempts end, by provider, over whole hours; `history.py` puts in where the sums are read from.
SELECT provider, sum(attempts.attempts), sum(provider_failures)
FROM {source}
GROUP BY provider
HAVING sum(attempts.attempts) > 0
ORDER BY provider
