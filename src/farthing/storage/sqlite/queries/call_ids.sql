-- Calls whose own id, or one of whose attempts' ids, lies in [:low, :high): a prefix as a range, so that indexes serve.
SELECT call_id FROM attempts WHERE call_id >= :low AND call_id < :high
UNION
SELECT call_id FROM attempts WHERE attempt_id >= :low AND attempt_id < :high
ORDER BY call_id
LIMIT :limit
