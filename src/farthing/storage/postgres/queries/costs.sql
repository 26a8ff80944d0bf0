-- What each group cost: dearest first, days in order of time. One row without a group when $1 is NULL.
-- A key that was renamed stands under its name of now.
SELECT
    CASE $1::text
        WHEN 'model' THEN attempts.provider || ':' || attempts.model
        WHEN 'provider' THEN attempts.provider
        WHEN 'key' THEN coalesce(keys.name, nullif(attempts.key_name, ''), attempts.key_id)
        WHEN 'session' THEN attempts.session
        WHEN 'project' THEN attempts.project
        WHEN 'task' THEN attempts.task
        WHEN 'branch' THEN attempts.branch
        WHEN 'day' THEN to_char(date '1970-01-01' + (attempts.started_at_us / 86400000000)::integer, 'YYYY-MM-DD')
    END COLLATE "C" AS label,
    count(DISTINCT call_id) AS calls,
    count(*) AS attempts,
    coalesce(sum(input_tokens), 0) AS input_tokens,
    coalesce(sum(output_tokens), 0) AS output_tokens,
    sum(cache_read_input_tokens) AS cache_read_input_tokens,
    sum(cache_creation_5m_input_tokens + cache_creation_1h_input_tokens) AS cache_creation_input_tokens,
    sum(reasoning_output_tokens) AS reasoning_output_tokens,
    sum(web_search_requests) AS web_search_requests,
    coalesce(sum(cost_nanousd), 0) AS cost,
    count(*) - count(cost_nanousd) AS unknown_cost_attempts,
    count(*) FILTER (WHERE cost_basis = 'estimated') AS estimated_attempts,
    count(*) FILTER (WHERE input_tokens IS NULL OR output_tokens IS NULL) AS unknown_usage_attempts,
    coalesce(sum(reported_cost_nanousd) FILTER (WHERE cost_nanousd IS NOT NULL), 0) AS reported_cost,
    coalesce(sum(cost_nanousd) FILTER (WHERE reported_cost_nanousd IS NOT NULL), 0) AS comparable_cost,
    coalesce(sum(reported_cost_nanousd) FILTER (WHERE cost_nanousd IS NULL), 0) AS reported_only,
    count(*) FILTER (WHERE reported_cost_nanousd IS NOT NULL AND cost_nanousd IS NOT NULL) AS comparable_attempts,
    coalesce(max(
        abs(cost_nanousd - reported_cost_nanousd)::double precision * 1000000.0::double precision / reported_cost_nanousd
    ) FILTER (WHERE reported_cost_nanousd > 0), 0) AS largest_difference_ppm
FROM attempts
LEFT JOIN keys ON keys.id = attempts.key_id
WHERE $2::bigint IS NULL OR started_at_us >= $2
GROUP BY 1
ORDER BY CASE WHEN $1::text = 'day' THEN 0 ELSE -coalesce(sum(cost_nanousd), 0) END, 1 NULLS LAST
