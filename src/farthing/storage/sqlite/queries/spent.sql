-- What was spent since :since, by everybody or in one session, which may be a conversation in another.
SELECT
    coalesce(sum(cost_nanousd), 0),
    count(*) - count(cost_nanousd),
    count(*)
FROM attempts
WHERE started_at_us >= :since AND (:session IS NULL OR session = :session OR conversation = :session)
