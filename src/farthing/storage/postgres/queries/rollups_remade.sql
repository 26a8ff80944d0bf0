-- Make sums by hour from the lines, with those that are gone; nobody else writes them meanwhile.
INSERT INTO {table} (
    hour, identity,
    {columns},
    attempts, failed_attempts, provider_failures, free_attempts, free_tokens, input_tokens, largest_input_tokens,
    output_tokens, cache_read_input_tokens, cache_creation_5m_input_tokens, cache_creation_1h_input_tokens,
    reasoning_output_tokens, media_tokens, web_search_requests, cost_nanousd, held_nanousd, unknown_cost_attempts,
    estimated_attempts, unknown_usage_attempts, reported_cost_nanousd, comparable_cost_nanousd,
    reported_only_nanousd, comparable_attempts, largest_difference_ppm, calls, provider_calls, model_calls,
    priced_calls, day_calls
)
SELECT
    started_at_us / 3600000000,
    farthing_digest(json_build_array(
        {columns}
    )::text) AS identity,
    {columns},
    least(sum(attempts), 9223372036854775807), least(sum(failed_attempts), 9223372036854775807),
    least(sum(provider_failures), 9223372036854775807), least(sum(free_attempts), 9223372036854775807),
    least(sum(free_tokens), 9223372036854775807), least(sum(input_tokens), 9223372036854775807),
    max(largest_input_tokens), least(sum(output_tokens), 9223372036854775807),
    least(sum(cache_read_input_tokens), 9223372036854775807),
    least(sum(cache_creation_5m_input_tokens), 9223372036854775807),
    least(sum(cache_creation_1h_input_tokens), 9223372036854775807),
    least(sum(reasoning_output_tokens), 9223372036854775807), least(sum(media_tokens), 9223372036854775807),
    least(sum(web_search_requests), 9223372036854775807), least(sum(cost_nanousd), 9223372036854775807),
    least(sum(held_nanousd), 9223372036854775807), least(sum(unknown_cost_attempts), 9223372036854775807),
    least(sum(estimated_attempts), 9223372036854775807), least(sum(unknown_usage_attempts), 9223372036854775807),
    least(sum(reported_cost_nanousd), 9223372036854775807),
    least(sum(comparable_cost_nanousd), 9223372036854775807),
    least(sum(reported_only_nanousd), 9223372036854775807), least(sum(comparable_attempts), 9223372036854775807),
    least(trunc(max(largest_difference_ppm)::numeric), 9223372036854775807),
    least(sum(calls), 9223372036854775807), least(sum(provider_calls), 9223372036854775807),
    least(sum(model_calls), 9223372036854775807), least(sum(priced_calls), 9223372036854775807),
    least(sum(day_calls), 9223372036854775807)
FROM (
    SELECT
        started_at_us,
        face, operation, provider, model, model_served, key_id, key_name, organisation, team, project, "user",
        session, conversation, task, sub_agent, branch, pull_request, tags, price_id, service_tier,
        attempts, failed_attempts, provider_failures, free_attempts, free_tokens, input_tokens,
        largest_input_tokens, output_tokens, cache_read_input_tokens, cache_creation_5m_input_tokens,
        cache_creation_1h_input_tokens, reasoning_output_tokens, media_tokens, web_search_requests, cost_nanousd,
        held_nanousd, unknown_cost_attempts, estimated_attempts, unknown_usage_attempts, reported_cost_nanousd,
        comparable_cost_nanousd, reported_only_nanousd, comparable_attempts, largest_difference_ppm,
        (row_number() OVER (PARTITION BY call_id ORDER BY ordinal, attempt_id) = 1)::integer AS calls,
        (row_number() OVER (PARTITION BY call_id, provider ORDER BY ordinal, attempt_id) = 1)::integer AS provider_calls,
        (row_number() OVER (PARTITION BY call_id, provider, model ORDER BY ordinal, attempt_id) = 1)::integer AS model_calls,
        (row_number() OVER (PARTITION BY call_id, provider, model, model_served, price_id, service_tier ORDER BY ordinal, attempt_id) = 1)::integer AS priced_calls,
        (row_number() OVER (PARTITION BY call_id, started_at_us / 86400000000 ORDER BY ordinal, attempt_id) = 1)::integer AS day_calls
    FROM attempt_sums
    UNION ALL
    SELECT
        started_at_us,
        face, operation, provider, model, model_served, key_id, key_name, organisation, team, project, "user",
        session, conversation, task, sub_agent, branch, pull_request, tags, price_id, service_tier,
        attempts, failed_attempts, provider_failures, free_attempts, free_tokens, input_tokens,
        largest_input_tokens, output_tokens, cache_read_input_tokens, cache_creation_5m_input_tokens,
        cache_creation_1h_input_tokens, reasoning_output_tokens, media_tokens, web_search_requests, cost_nanousd,
        held_nanousd, unknown_cost_attempts, estimated_attempts, unknown_usage_attempts, reported_cost_nanousd,
        comparable_cost_nanousd, reported_only_nanousd, comparable_attempts, largest_difference_ppm,
        calls, provider_calls, model_calls, model_calls, calls
    FROM expired_sums
) AS lines
GROUP BY
    started_at_us / 3600000000,
    {columns}
