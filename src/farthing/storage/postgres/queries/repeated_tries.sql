-- Tries of a call that stand in the ledger more than once.
SELECT call_id, ordinal, count(*) AS times
FROM attempts
GROUP BY call_id, ordinal
HAVING count(*) > 1
ORDER BY call_id, ordinal
LIMIT $1
