-- Add the rows :rows, which are about to be deleted, to the sums of what is gone.
WITH gone AS MATERIALIZED (
    SELECT
        *,
        row_number() OVER (PARTITION BY call_id ORDER BY place) = 1 AS first_try,
        row_number() OVER (PARTITION BY call_id, provider ORDER BY place) = 1 AS first_at_provider,
        row_number() OVER (PARTITION BY call_id, provider, model ORDER BY place) = 1 AS first_on_model
    FROM attempt_sums
    WHERE place IN (SELECT value FROM json_each(:rows))
)
INSERT INTO expired_sums (
    started_at_us,
    face, operation, provider, model, model_served, key_id, key_name, organisation, team, project, user, session,
    conversation, task, sub_agent, branch, pull_request, tags, outcome, price_id, service_tier,
    attempts, calls, provider_calls, model_calls, failed_attempts, provider_failures, free_attempts, free_tokens,
    input_tokens, largest_input_tokens, output_tokens, cache_read_input_tokens, cache_creation_5m_input_tokens,
    cache_creation_1h_input_tokens, reasoning_output_tokens, media_tokens, web_search_requests, cost_nanousd,
    held_nanousd, unknown_cost_attempts, estimated_attempts, unknown_usage_attempts, reported_cost_nanousd,
    comparable_cost_nanousd, reported_only_nanousd, comparable_attempts, largest_difference_ppm
)
SELECT
    started_at_us / 900000000 * 900000000,
    face, operation, provider, model, model_served, key_id, key_name, organisation, team, project, user, session,
    conversation, task, sub_agent, branch, pull_request, tags, outcome, price_id, service_tier,
    sum(attempts), count(*) FILTER (WHERE first_try), count(*) FILTER (WHERE first_at_provider),
    count(*) FILTER (WHERE first_on_model), sum(failed_attempts), sum(provider_failures), sum(free_attempts),
    sum(free_tokens), sum(input_tokens), max(largest_input_tokens), sum(output_tokens),
    sum(cache_read_input_tokens), sum(cache_creation_5m_input_tokens), sum(cache_creation_1h_input_tokens),
    sum(reasoning_output_tokens), sum(media_tokens), sum(web_search_requests), sum(cost_nanousd),
    sum(held_nanousd), sum(unknown_cost_attempts), sum(estimated_attempts), sum(unknown_usage_attempts),
    sum(reported_cost_nanousd), sum(comparable_cost_nanousd), sum(reported_only_nanousd),
    sum(comparable_attempts), max(largest_difference_ppm)
FROM gone
GROUP BY
    started_at_us / 900000000,
    face, operation, provider, model, model_served, key_id, key_name, organisation, team, project, user, session,
    conversation, task, sub_agent, branch, pull_request, tags, outcome, price_id, service_tier
