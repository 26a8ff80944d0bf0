-- Add a batch to the hours and groups of {table}. A sum stops at the largest integer, as the daily totals do.
INSERT INTO {table} (
    hour, group_id,
    attempts, calls, provider_calls, model_calls, priced_calls, day_calls, failed_attempts, provider_failures,
    free_attempts, free_tokens, input_tokens, largest_input_tokens, output_tokens, cache_read_input_tokens,
    cache_creation_5m_input_tokens, cache_creation_1h_input_tokens, reasoning_output_tokens, media_tokens,
    web_search_requests, cost_nanousd, held_nanousd, unknown_cost_attempts, estimated_attempts,
    unknown_usage_attempts, reported_cost_nanousd, comparable_cost_nanousd, reported_only_nanousd,
    comparable_attempts, largest_difference_ppm
)
SELECT
    b.hour, g.id,
    attempts, calls, provider_calls, model_calls, priced_calls, day_calls, failed_attempts, provider_failures,
    free_attempts, free_tokens, input_tokens, largest_input_tokens, output_tokens, cache_read_input_tokens,
    cache_creation_5m_input_tokens, cache_creation_1h_input_tokens, reasoning_output_tokens, media_tokens,
    web_search_requests, cost_nanousd, held_nanousd, unknown_cost_attempts, estimated_attempts,
    unknown_usage_attempts, reported_cost_nanousd, comparable_cost_nanousd, reported_only_nanousd,
    comparable_attempts, largest_difference_ppm
FROM (
    SELECT
        hour, json_array({columns}) AS identity,
        sum(attempts) AS attempts, sum(calls) AS calls, sum(provider_calls) AS provider_calls,
        sum(model_calls) AS model_calls, sum(priced_calls) AS priced_calls, sum(day_calls) AS day_calls,
        sum(failed_attempts) AS failed_attempts, sum(provider_failures) AS provider_failures,
        sum(free_attempts) AS free_attempts, sum(free_tokens) AS free_tokens, sum(input_tokens) AS input_tokens,
        max(largest_input_tokens) AS largest_input_tokens, sum(output_tokens) AS output_tokens,
        sum(cache_read_input_tokens) AS cache_read_input_tokens,
        sum(cache_creation_5m_input_tokens) AS cache_creation_5m_input_tokens,
        sum(cache_creation_1h_input_tokens) AS cache_creation_1h_input_tokens,
        sum(reasoning_output_tokens) AS reasoning_output_tokens, sum(media_tokens) AS media_tokens,
        sum(web_search_requests) AS web_search_requests, sum(cost_nanousd) AS cost_nanousd,
        sum(held_nanousd) AS held_nanousd, sum(unknown_cost_attempts) AS unknown_cost_attempts,
        sum(estimated_attempts) AS estimated_attempts, sum(unknown_usage_attempts) AS unknown_usage_attempts,
        sum(reported_cost_nanousd) AS reported_cost_nanousd,
        sum(comparable_cost_nanousd) AS comparable_cost_nanousd,
        sum(reported_only_nanousd) AS reported_only_nanousd, sum(comparable_attempts) AS comparable_attempts,
        max(largest_difference_ppm) AS largest_difference_ppm
    FROM temp.rollup_batch
    GROUP BY hour, {columns}
) AS b JOIN {table}_groups AS g ON g.identity = b.identity
WHERE TRUE
ON CONFLICT (hour, group_id) DO UPDATE SET
    attempts = min(attempts + excluded.attempts, 9223372036854775807),
    calls = min(calls + excluded.calls, 9223372036854775807),
    provider_calls = min(provider_calls + excluded.provider_calls, 9223372036854775807),
    model_calls = min(model_calls + excluded.model_calls, 9223372036854775807),
    priced_calls = min(priced_calls + excluded.priced_calls, 9223372036854775807),
    day_calls = min(day_calls + excluded.day_calls, 9223372036854775807),
    failed_attempts = min(failed_attempts + excluded.failed_attempts, 9223372036854775807),
    provider_failures = min(provider_failures + excluded.provider_failures, 9223372036854775807),
    free_attempts = min(free_attempts + excluded.free_attempts, 9223372036854775807),
    free_tokens = min(free_tokens + excluded.free_tokens, 9223372036854775807),
    input_tokens = min(input_tokens + excluded.input_tokens, 9223372036854775807),
    largest_input_tokens = max(largest_input_tokens, excluded.largest_input_tokens),
    output_tokens = min(output_tokens + excluded.output_tokens, 9223372036854775807),
    cache_read_input_tokens = min(cache_read_input_tokens + excluded.cache_read_input_tokens, 9223372036854775807),
    cache_creation_5m_input_tokens = min(cache_creation_5m_input_tokens + excluded.cache_creation_5m_input_tokens, 9223372036854775807),
    cache_creation_1h_input_tokens = min(cache_creation_1h_input_tokens + excluded.cache_creation_1h_input_tokens, 9223372036854775807),
    reasoning_output_tokens = min(reasoning_output_tokens + excluded.reasoning_output_tokens, 9223372036854775807),
    media_tokens = min(media_tokens + excluded.media_tokens, 9223372036854775807),
    web_search_requests = min(web_search_requests + excluded.web_search_requests, 9223372036854775807),
    cost_nanousd = min(cost_nanousd + excluded.cost_nanousd, 9223372036854775807),
    held_nanousd = min(held_nanousd + excluded.held_nanousd, 9223372036854775807),
    unknown_cost_attempts = min(unknown_cost_attempts + excluded.unknown_cost_attempts, 9223372036854775807),
    estimated_attempts = min(estimated_attempts + excluded.estimated_attempts, 9223372036854775807),
    unknown_usage_attempts = min(unknown_usage_attempts + excluded.unknown_usage_attempts, 9223372036854775807),
    reported_cost_nanousd = min(reported_cost_nanousd + excluded.reported_cost_nanousd, 9223372036854775807),
    comparable_cost_nanousd = min(comparable_cost_nanousd + excluded.comparable_cost_nanousd, 9223372036854775807),
    reported_only_nanousd = min(reported_only_nanousd + excluded.reported_only_nanousd, 9223372036854775807),
    comparable_attempts = min(comparable_attempts + excluded.comparable_attempts, 9223372036854775807),
    largest_difference_ppm = max(largest_difference_ppm, excluded.largest_difference_ppm)
