-- Add up a batch by hour and everything, what differs most first: that is sorted in half the time; `rollups.py` puts in whether its rows are lines or sums of lines that are gone.
INSERT INTO temp.rollup_batch
SELECT
    started_at_us / 3600000000,
    face, operation, provider, model, model_served, key_id, key_name, organisation, team, project, user, session,
    conversation, task, sub_agent, branch, pull_request, tags, price_id, service_tier,
    sum(attempts), sum(calls), sum(provider_calls), sum(model_calls), sum(priced_calls), sum(day_calls),
    sum(failed_attempts), sum(provider_failures), sum(free_attempts), sum(free_tokens), sum(input_tokens),
    max(largest_input_tokens), sum(output_tokens), sum(cache_read_input_tokens),
    sum(cache_creation_5m_input_tokens), sum(cache_creation_1h_input_tokens), sum(reasoning_output_tokens),
    sum(media_tokens), sum(web_search_requests), sum(cost_nanousd), sum(held_nanousd), sum(unknown_cost_attempts),
    sum(estimated_attempts), sum(unknown_usage_attempts), sum(reported_cost_nanousd),
    sum(comparable_cost_nanousd), sum(reported_only_nanousd), sum(comparable_attempts),
    max(largest_difference_ppm)
FROM (
    {batch}
)
GROUP BY
    session, key_id, model, task, started_at_us / 3600000000, price_id, service_tier, model_served, provider, key_name,
    tags, user, project, team, organisation, branch, pull_request, sub_agent, conversation, face, operation
