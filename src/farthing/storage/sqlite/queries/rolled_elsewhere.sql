-- Calls that tried two models which are one to the question, such as one name at two providers, are one each and stand in
-- the sums of both: one is taken off for each model after the first. Only tries after the first can be such, and those
-- have an index of their own. A part of rolled.sql.
UNION ALL
SELECT
    started_at_us, NULL,
    {columns},
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, -1, -1, -1, -1
FROM (SELECT * FROM attempts AS e WHERE {within} AND e.ordinal > 1) AS a
WHERE EXISTS (
        SELECT 1 FROM attempts AS e
        WHERE e.call_id = a.call_id AND (e.ordinal, e.attempt_id) < (a.ordinal, a.attempt_id) AND {within}
            AND {same}
    )
    AND NOT EXISTS (
        SELECT 1 FROM attempts AS e
        WHERE e.call_id = a.call_id AND (e.ordinal, e.attempt_id) < (a.ordinal, a.attempt_id) AND {within}
            AND e.provider = a.provider AND e.model = a.model
    )
