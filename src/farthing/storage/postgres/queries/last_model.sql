-- The model that was called last since $1, by everybody or in one session.
SELECT provider || ':' || model FROM attempts
WHERE started_at_us >= $1 AND ($2::text IS NULL OR session = $2 OR conversation = $2)
ORDER BY started_at_us DESC
LIMIT 1
