-- How attempts ended that began lately, by provider.
SELECT
    provider, count(*),
    sum(
        outcome IN ('provider_cut', 'unreachable', 'timeout')
            OR (outcome = 'provider_error' AND coalesce(http_status, 0) NOT IN (SELECT value FROM json_each(:clients)))
    )
FROM attempts
WHERE started_at_us >= :since
GROUP BY provider
ORDER BY provider
