-- Calls whose first attempt came outside of the time that is asked for, and another within: they are not counted there.
-- A part of rolled.sql.
UNION ALL
SELECT
    started_at_us, NULL,
    {columns},
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1
FROM attempts
WHERE {span} AND ordinal > 1
    AND EXISTS (
        SELECT 1 FROM attempts AS e
        WHERE e.call_id = attempts.call_id AND (e.ordinal, e.attempt_id) < (attempts.ordinal, attempts.attempt_id)
            AND {alike}
    )
    AND NOT EXISTS (
        SELECT 1 FROM attempts AS e
        WHERE e.call_id = attempts.call_id AND (e.ordinal, e.attempt_id) < (attempts.ordinal, attempts.attempt_id)
            AND {within} AND {alike}
    )
