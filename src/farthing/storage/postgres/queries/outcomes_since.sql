-- How attempts ended that began lately, by provider, of those that failed $2 times and $3 percent of their attempts. The
-- condition of the index is repeated; others are counted up to as many as they may be.
SELECT failing.provider, counted.attempts, failing.failed
FROM (
    SELECT provider, count(*) AS failed
    FROM attempts
    WHERE started_at_us >= $1 AND outcome IN ('provider_cut', 'unreachable', 'timeout', 'provider_error')
        AND farthing_failed(outcome, http_status)
    GROUP BY provider
    HAVING count(*) >= $2::bigint
) AS failing
CROSS JOIN LATERAL (
    SELECT count(*) AS attempts
    FROM (
        SELECT FROM attempts
        WHERE started_at_us >= $1 AND provider = failing.provider
        LIMIT failing.failed * 100 / $3::bigint + 1
    ) AS found
) AS counted
WHERE counted.attempts <= failing.failed * 100 / $3::bigint
ORDER BY failing.provider
