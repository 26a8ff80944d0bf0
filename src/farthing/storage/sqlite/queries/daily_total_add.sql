-- Add a batch's sum to its day; a STRICT table refuses a sum that no longer fits 64 bits.
INSERT INTO daily_totals (
    day, key_id, provider, model, attempts, unknown_cost_attempts, estimated_attempts, unknown_usage_attempts,
    input_tokens, output_tokens, cache_read_input_tokens, cache_creation_5m_input_tokens,
    cache_creation_1h_input_tokens, reasoning_output_tokens, web_search_requests, cost_nanousd
) VALUES (
    ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
)
ON CONFLICT (day, key_id, provider, model) DO UPDATE SET
    attempts = attempts + excluded.attempts,
    unknown_cost_attempts = unknown_cost_attempts + excluded.unknown_cost_attempts,
    estimated_attempts = estimated_attempts + excluded.estimated_attempts,
    unknown_usage_attempts = unknown_usage_attempts + excluded.unknown_usage_attempts,
    input_tokens = input_tokens + excluded.input_tokens,
    output_tokens = output_tokens + excluded.output_tokens,
    cache_read_input_tokens = cache_read_input_tokens + excluded.cache_read_input_tokens,
    cache_creation_5m_input_tokens = cache_creation_5m_input_tokens + excluded.cache_creation_5m_input_tokens,
    cache_creation_1h_input_tokens = cache_creation_1h_input_tokens + excluded.cache_creation_1h_input_tokens,
    reasoning_output_tokens = reasoning_output_tokens + excluded.reasoning_output_tokens,
    web_search_requests = web_search_requests + excluded.web_search_requests,
    cost_nanousd = cost_nanousd + excluded.cost_nanousd
