-- The totals as they were kept.
SELECT
    day, key_id, provider, model, attempts, unknown_cost_attempts, estimated_attempts, unknown_usage_attempts,
    input_tokens, output_tokens, cache_read_input_tokens, cache_creation_5m_input_tokens,
    cache_creation_1h_input_tokens, reasoning_output_tokens, web_search_requests, cost_nanousd
FROM daily_totals
ORDER BY day, key_id, provider, model
