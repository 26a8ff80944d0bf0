-- The totals as the lines add up now, with those that are gone; verify compares them with the kept ones.
SELECT
    date(started_at_us / 1000000, 'unixepoch') AS day, key_id, provider, model,
    sum(attempts) AS attempts,
    sum(unknown_cost_attempts) AS unknown_cost_attempts,
    sum(estimated_attempts) AS estimated_attempts,
    sum(unknown_usage_attempts) AS unknown_usage_attempts,
    sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(cache_read_input_tokens) AS cache_read_input_tokens,
    sum(cache_creation_5m_input_tokens) AS cache_creation_5m_input_tokens,
    sum(cache_creation_1h_input_tokens) AS cache_creation_1h_input_tokens,
    sum(reasoning_output_tokens) AS reasoning_output_tokens,
    sum(web_search_requests) AS web_search_requests,
    sum(cost_nanousd) AS cost_nanousd
FROM all_sums
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4
