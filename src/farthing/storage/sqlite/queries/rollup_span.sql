-- The last row that is rolled up, and the last of the next :limit.
SELECT rolled_to, coalesce((
    SELECT max(rowid) FROM (
        SELECT rowid FROM attempts WHERE rowid > (SELECT rolled_to FROM rollup_state) ORDER BY rowid LIMIT :limit
    )
), rolled_to)
FROM rollup_state
