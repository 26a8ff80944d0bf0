-- The totals as the attempts add up now; verify compares them with the kept ones.
SELECT
    to_char(date '1970-01-01' + (started_at_us / 86400000000)::integer, 'YYYY-MM-DD') COLLATE "C" AS day, key_id, provider, model,
    count(*) AS attempts,
    count(*) - count(cost_nanousd) AS unknown_cost_attempts,
    count(*) FILTER (WHERE cost_basis = 'estimated') AS estimated_attempts,
    count(*) FILTER (WHERE input_tokens IS NULL OR output_tokens IS NULL) AS unknown_usage_attempts,
    coalesce(sum(input_tokens), 0) AS input_tokens,
    coalesce(sum(output_tokens), 0) AS output_tokens,
    sum(cache_read_input_tokens) AS cache_read_input_tokens,
    sum(cache_creation_5m_input_tokens) AS cache_creation_5m_input_tokens,
    sum(cache_creation_1h_input_tokens) AS cache_creation_1h_input_tokens,
    sum(reasoning_output_tokens) AS reasoning_output_tokens,
    sum(web_search_requests) AS web_search_requests,
    coalesce(sum(cost_nanousd), 0) AS cost_nanousd
FROM attempts
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4
