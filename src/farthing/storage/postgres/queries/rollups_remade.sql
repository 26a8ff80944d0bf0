-- Make sums by hour from the lines, with those that are gone; nobody else writes them meanwhile.
INSERT INTO {table} (
    hour, identity,
    {columns},
    {named}
)
SELECT
    started_at_us / 3600000000,
    farthing_digest(json_build_array(
        {columns}
    )::text) AS identity,
    {columns},
    {summed}
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
