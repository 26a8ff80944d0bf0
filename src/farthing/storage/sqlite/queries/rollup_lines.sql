-- Lines of {which} as sums of one, in the form of the roll-up. A call is counted with the first of its attempts that came.
-- Few are not the first, and they are found once: SQLite would look for each line's earlier ones in every column that asks.
SELECT
    started_at_us,
    face, operation, provider, model, model_served, key_id, key_name, organisation, team, project, user, session,
    conversation, task, sub_agent, branch, pull_request, tags, price_id, service_tier,
    attempts, failed_attempts, provider_failures, free_attempts, free_tokens, input_tokens, largest_input_tokens,
    output_tokens, cache_read_input_tokens, cache_creation_5m_input_tokens, cache_creation_1h_input_tokens,
    reasoning_output_tokens, media_tokens, web_search_requests, cost_nanousd, held_nanousd, unknown_cost_attempts,
    estimated_attempts, unknown_usage_attempts, reported_cost_nanousd, comparable_cost_nanousd,
    reported_only_nanousd, comparable_attempts, largest_difference_ppm,
    NOT again AS calls,
    NOT again OR NOT EXISTS (
        SELECT 1 FROM attempts AS e
        WHERE e.call_id = b.call_id AND e.rowid < b.place AND e.provider = b.provider
    ) AS provider_calls,
    NOT again OR NOT EXISTS (
        SELECT 1 FROM attempts AS e
        WHERE e.call_id = b.call_id AND e.rowid < b.place AND e.provider = b.provider AND e.model = b.model
    ) AS model_calls,
    NOT again OR NOT EXISTS (
        SELECT 1 FROM attempts AS e
        WHERE e.call_id = b.call_id AND e.rowid < b.place AND e.provider = b.provider AND e.model = b.model AND e.model_served IS b.model_served
            AND e.price_id IS b.price_id AND e.service_tier IS b.service_tier
    ) AS priced_calls,
    NOT again OR NOT EXISTS (
        SELECT 1 FROM attempts AS e
        WHERE e.call_id = b.call_id AND e.rowid < b.place AND e.started_at_us / 86400000000 = b.started_at_us / 86400000000
    ) AS day_calls
FROM (
    SELECT
        *,
        place IN (
            SELECT place FROM attempt_sums AS attempts
            WHERE {which}
                AND EXISTS (SELECT 1 FROM attempts AS e WHERE e.call_id = attempts.call_id AND e.rowid < attempts.place)
        ) AS again
    FROM attempt_sums AS attempts
    WHERE {which}
) AS b
