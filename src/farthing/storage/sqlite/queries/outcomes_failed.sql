-- Which providers failed lately, and how often. From one provider to the next by the index: to group them by name would
-- hold all that failed in memory, and when a provider is down, that is all there is.
WITH RECURSIVE failing (provider) AS (
    SELECT min(provider) FROM attempts
    WHERE outcome IN ('provider_cut', 'unreachable', 'timeout', 'provider_error')
    UNION ALL
    SELECT (
        SELECT min(provider) FROM attempts
        WHERE outcome IN ('provider_cut', 'unreachable', 'timeout', 'provider_error')
            AND provider > failing.provider
    )
    FROM failing
    WHERE provider IS NOT NULL
),
counted AS MATERIALIZED (
    SELECT
        provider,
        (
            SELECT count(*) FROM attempts
            WHERE outcome IN ('provider_cut', 'unreachable', 'timeout', 'provider_error')
                AND attempts.provider = failing.provider AND started_at_us >= :since
                AND (outcome <> 'provider_error'
                    OR coalesce(http_status, 0) NOT IN (SELECT value FROM json_each(:clients)))
        ) AS failed
    FROM failing
    WHERE provider IS NOT NULL
)
SELECT provider, failed FROM counted WHERE failed >= :least
