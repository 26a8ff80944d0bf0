-- Calls whose first attempt came outside of the time that is asked for, and another in its outermost rolled-up hours:
-- they are not counted there. A part of costs_rolled.sql.
UNION ALL
SELECT {label}, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
FROM {source}
WHERE {span} AND {conditions}
    AND EXISTS (
        SELECT 1 FROM attempts AS e
        WHERE e.call_id = attempts.call_id AND e.rowid < attempts.rowid AND {alike}
    )
    AND NOT EXISTS (
        SELECT 1 FROM attempts AS e
        WHERE e.call_id = attempts.call_id AND e.rowid < attempts.rowid AND {within} AND {alike}
    )
