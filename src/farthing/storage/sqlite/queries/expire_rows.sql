-- The rows of calls that are over before :before, the oldest first, about :limit of them. What is not rolled up yet is
-- left for later, and so is the last row: SQLite gives its number anew when it is gone.
WITH oldest AS (
    SELECT DISTINCT call_id
    FROM (SELECT call_id FROM attempts WHERE started_at_us < :before ORDER BY started_at_us LIMIT :limit)
)
SELECT a.rowid
FROM oldest CROSS JOIN attempts AS a
WHERE a.call_id = oldest.call_id
    AND NOT EXISTS (
        SELECT 1 FROM attempts AS e
        WHERE e.call_id = oldest.call_id
            AND (
                e.started_at_us >= :before
                OR e.rowid > (SELECT rolled_to FROM rollup_state)
                OR e.rowid = (SELECT max(rowid) FROM attempts)
            )
    )
