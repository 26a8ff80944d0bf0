-- What the rows of a batch, those after :first up to :last, add to each account that they belong to, as one JSON array of
-- [account, posted, unknown]. `budgets.py` puts in what a line is known by there, and a branch for each of the accounts'
-- anchors, so that the index serves. Periods begin and end on whole seconds.
WITH batch AS MATERIALIZED (
    SELECT
        {columns},
        ',' || replace(replace(coalesce(tags, ''), ', ', ','), ' ,', ',') || ',' AS tag_list,
        started_at_us / 1000000 AS second,
        sum(coalesce(cost_nanousd, 0)) AS posted,
        sum(CASE WHEN cost_nanousd IS NULL THEN coalesce(held_nanousd, 0) ELSE 0 END) AS unknown
    FROM attempts
    WHERE rowid > :first AND rowid <= :last
    GROUP BY {columns}, tags, second
    HAVING posted > 0 OR unknown > 0
), matched AS (
    {branches}
)
SELECT json_group_array(json_array(account_id, posted, unknown)) FROM (
    SELECT account_id, sum(posted) AS posted, sum(unknown) AS unknown
    FROM matched
    GROUP BY account_id
    ORDER BY account_id
)
