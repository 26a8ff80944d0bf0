-- The model that was called last since :since, by everybody or in one session.
SELECT provider || ':' || model FROM attempts
WHERE started_at_us >= :since AND (:session IS NULL OR session = :session OR conversation = :session)
ORDER BY started_at_us DESC
LIMIT 1
