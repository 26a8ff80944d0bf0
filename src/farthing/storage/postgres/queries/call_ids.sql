-- Calls whose own id, or one of whose attempts' ids, lies in [$1, $2): a prefix as a range, so that indexes serve.
SELECT call_id FROM attempts WHERE call_id >= $1 AND call_id < $2
UNION
SELECT call_id FROM attempts WHERE attempt_id >= $1 AND attempt_id < $2
ORDER BY call_id
LIMIT $3
