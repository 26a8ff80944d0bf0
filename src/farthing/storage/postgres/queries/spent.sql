-- What was spent since $1, by everybody or in one session, which may be a conversation in another.
SELECT
    coalesce(sum(cost_nanousd), 0),
    count(*) - count(cost_nanousd),
    count(*)
FROM attempts
WHERE started_at_us >= $1 AND ($2::text IS NULL OR session = $2 OR conversation = $2)
