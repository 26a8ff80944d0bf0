-- Make the totals from the lines, with those that are gone; nobody else writes them meanwhile.
INSERT INTO daily_totals (
    day, key_id, provider, model, attempts, unknown_cost_attempts, estimated_attempts, unknown_usage_attempts,
    input_tokens, output_tokens, cache_read_input_tokens, cache_creation_5m_input_tokens,
    cache_creation_1h_input_tokens, reasoning_output_tokens, web_search_requests, cost_nanousd
)
SELECT
    to_char(date '1970-01-01' + (started_at_us / 86400000000)::integer, 'YYYY-MM-DD') COLLATE "C" AS day, key_id, provider, model,
    sum(attempts) AS attempts,
    sum(unknown_cost_attempts) AS unknown_cost_attempts,
    sum(estimated_attempts) AS estimated_attempts,
    sum(unknown_usage_attempts) AS unknown_usage_attempts,
    least(sum(input_tokens), 9223372036854775807) AS input_tokens,
    least(sum(output_tokens), 9223372036854775807) AS output_tokens,
    least(sum(cache_read_input_tokens), 9223372036854775807) AS cache_read_input_tokens,
    least(sum(cache_creation_5m_input_tokens), 9223372036854775807) AS cache_creation_5m_input_tokens,
    least(sum(cache_creation_1h_input_tokens), 9223372036854775807) AS cache_creation_1h_input_tokens,
    least(sum(reasoning_output_tokens), 9223372036854775807) AS reasoning_output_tokens,
    least(sum(web_search_requests), 9223372036854775807) AS web_search_requests,
    least(sum(cost_nanousd), 9223372036854775807) AS cost_nanousd
FROM all_sums
GROUP BY 1, 2, 3, 4
