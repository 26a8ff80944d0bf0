-- How attempts ended that began lately, by provider.
SELECT provider, count(*), count(*) FILTER (WHERE farthing_failed(outcome, http_status))
FROM attempts
WHERE started_at_us >= $1
GROUP BY provider
ORDER BY provider COLLATE "C"
