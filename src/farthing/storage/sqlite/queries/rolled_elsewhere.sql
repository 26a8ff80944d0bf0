-- Calls of a model's name that two providers served are one each, and stand in the sums of both: one is taken off for
-- each provider after the first. Only tries after the first can be such, and those have an index of their own. A part of
-- rolled.sql.
UNION ALL
SELECT
    started_at_us, NULL,
    {columns},
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, -1, -1, -1, -1
FROM (SELECT * FROM attempts AS e WHERE {within} AND e.ordinal > 1) AS a
WHERE EXISTS (
        SELECT 1 FROM attempts AS e
        WHERE e.call_id = a.call_id AND (e.ordinal, e.attempt_id) < (a.ordinal, a.attempt_id) AND {within}
            AND e.model = a.model
    )
    AND NOT EXISTS (
        SELECT 1 FROM attempts AS e
        WHERE e.call_id = a.call_id AND (e.ordinal, e.attempt_id) < (a.ordinal, a.attempt_id) AND {within}
            AND e.model = a.model AND e.provider = a.provider
    )
