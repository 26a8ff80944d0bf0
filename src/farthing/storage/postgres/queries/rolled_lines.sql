-- Lines of {which}: a part of rolled.sql. A call is counted with the first of its attempts.
UNION ALL
SELECT
    started_at_us, NULL,
    {columns},
    attempts, failed_attempts, provider_failures, free_attempts, free_tokens, input_tokens, largest_input_tokens,
    output_tokens, cache_read_input_tokens, cache_creation_5m_input_tokens, cache_creation_1h_input_tokens,
    reasoning_output_tokens, media_tokens, web_search_requests, cost_nanousd, held_nanousd, unknown_cost_attempts,
    estimated_attempts, unknown_usage_attempts, reported_cost_nanousd, comparable_cost_nanousd,
    reported_only_nanousd, comparable_attempts, largest_difference_ppm,
    (NOT again)::integer,
    (NOT again OR NOT EXISTS (
        SELECT 1 FROM attempts AS e
        WHERE e.call_id = b.call_id AND (e.ordinal, e.attempt_id) < (b.ordinal, b.attempt_id) AND e.provider = b.provider
    ))::integer,
    (NOT again OR NOT EXISTS (
        SELECT 1 FROM attempts AS e
        WHERE e.call_id = b.call_id AND (e.ordinal, e.attempt_id) < (b.ordinal, b.attempt_id) AND e.provider = b.provider AND e.model = b.model
    ))::integer,
    (NOT again OR NOT EXISTS (
        SELECT 1 FROM attempts AS e
        WHERE e.call_id = b.call_id AND (e.ordinal, e.attempt_id) < (b.ordinal, b.attempt_id) AND e.provider = b.provider AND e.model = b.model AND e.model_served IS NOT DISTINCT FROM b.model_served
            AND e.price_id IS NOT DISTINCT FROM b.price_id AND e.service_tier IS NOT DISTINCT FROM b.service_tier
    ))::integer,
    (NOT again OR NOT EXISTS (
        SELECT 1 FROM attempts AS e
        WHERE e.call_id = b.call_id AND (e.ordinal, e.attempt_id) < (b.ordinal, b.attempt_id) AND e.started_at_us / 86400000000 = b.started_at_us / 86400000000
    ))::integer
FROM (
    SELECT
        *, EXISTS (SELECT 1 FROM attempts AS e WHERE e.call_id = l.call_id AND (e.ordinal, e.attempt_id) < (l.ordinal, l.attempt_id)) AS again
    FROM attempt_sums AS l
    WHERE {which}
) AS b
