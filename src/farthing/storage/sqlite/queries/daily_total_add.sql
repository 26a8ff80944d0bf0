-- Add rows of {lines}, those after :first up to :last, to their days. A sum that no longer fits 64 bits turns into a float, which a STRICT table refuses with
-- the whole batch; so a total stops at the largest integer instead, and verify shows that it did.
INSERT INTO daily_totals (
    day, key_id, provider, model, attempts, unknown_cost_attempts, estimated_attempts, unknown_usage_attempts,
    input_tokens, output_tokens, cache_read_input_tokens, cache_creation_5m_input_tokens,
    cache_creation_1h_input_tokens, reasoning_output_tokens, web_search_requests, cost_nanousd
)
SELECT
    date(started_at_us / 1000000, 'unixepoch'), key_id, provider, model,
    sum(attempts),
    sum(unknown_cost_attempts),
    sum(estimated_attempts),
    sum(unknown_usage_attempts),
    sum(input_tokens),
    sum(output_tokens),
    sum(cache_read_input_tokens),
    sum(cache_creation_5m_input_tokens),
    sum(cache_creation_1h_input_tokens),
    sum(reasoning_output_tokens),
    sum(web_search_requests),
    sum(cost_nanousd)
FROM {lines}
WHERE {place} > :first AND {place} <= :last
GROUP BY key_id, model, provider, started_at_us / 86400000000
ON CONFLICT (day, key_id, provider, model) DO UPDATE SET
    attempts = min(attempts + excluded.attempts, 9223372036854775807),
    unknown_cost_attempts = min(unknown_cost_attempts + excluded.unknown_cost_attempts, 9223372036854775807),
    estimated_attempts = min(estimated_attempts + excluded.estimated_attempts, 9223372036854775807),
    unknown_usage_attempts = min(unknown_usage_attempts + excluded.unknown_usage_attempts, 9223372036854775807),
    input_tokens = min(input_tokens + excluded.input_tokens, 9223372036854775807),
    output_tokens = min(output_tokens + excluded.output_tokens, 9223372036854775807),
    cache_read_input_tokens = min(cache_read_input_tokens + excluded.cache_read_input_tokens, 9223372036854775807),
    cache_creation_5m_input_tokens = min(cache_creation_5m_input_tokens + excluded.cache_creation_5m_input_tokens, 9223372036854775807),
    cache_creation_1h_input_tokens = min(cache_creation_1h_input_tokens + excluded.cache_creation_1h_input_tokens, 9223372036854775807),
    reasoning_output_tokens = min(reasoning_output_tokens + excluded.reasoning_output_tokens, 9223372036854775807),
    web_search_requests = min(web_search_requests + excluded.web_search_requests, 9223372036854775807),
    cost_nanousd = min(cost_nanousd + excluded.cost_nanousd, 9223372036854775807)
