-- Add the rows of a batch, those after :first up to :last, to their hours and groups. A call is counted with the first
-- of its attempts that came. A sum stops at the largest integer, as the daily totals do.
WITH batch AS MATERIALIZED (
    SELECT
        *, rowid AS came,
        json_array(face, provider, model, key_id, key_name, organisation, team, project, user, tags) AS identity,
        EXISTS (SELECT 1 FROM attempts AS e WHERE e.call_id = attempts.call_id AND e.rowid < attempts.rowid) AS again
    FROM attempts
    WHERE rowid > :first AND rowid <= :last
)
INSERT INTO rollups (
    hour, group_id, attempts, calls, model_calls, provider_calls, day_calls, input_tokens, output_tokens,
    cache_read_input_tokens, cache_creation_input_tokens, reasoning_output_tokens, web_search_requests, cost_nanousd,
    unknown_cost_attempts, estimated_attempts, unknown_usage_attempts, reported_cost_nanousd, comparable_cost_nanousd,
    reported_only_nanousd, comparable_attempts, largest_difference_ppm
)
SELECT
    b.started_at_us / 3600000000, g.id,
    count(*),
    sum(NOT again),
    sum(NOT again OR NOT EXISTS (
        SELECT 1 FROM attempts AS e
        WHERE e.call_id = b.call_id AND e.rowid < b.came AND e.provider = b.provider AND e.model = b.model
    )),
    sum(NOT again OR NOT EXISTS (
        SELECT 1 FROM attempts AS e WHERE e.call_id = b.call_id AND e.rowid < b.came AND e.provider = b.provider
    )),
    sum(NOT again OR NOT EXISTS (
        SELECT 1 FROM attempts AS e
        WHERE e.call_id = b.call_id AND e.rowid < b.came
            AND e.started_at_us / 86400000000 = b.started_at_us / 86400000000
    )),
    coalesce(sum(input_tokens), 0),
    coalesce(sum(output_tokens), 0),
    sum(cache_read_input_tokens),
    sum(cache_creation_5m_input_tokens + cache_creation_1h_input_tokens),
    sum(reasoning_output_tokens),
    sum(web_search_requests),
    coalesce(sum(cost_nanousd), 0),
    count(*) - count(cost_nanousd),
    sum(cost_basis = 'estimated'),
    sum(input_tokens IS NULL OR output_tokens IS NULL),
    coalesce(sum(reported_cost_nanousd) FILTER (WHERE cost_nanousd IS NOT NULL), 0),
    coalesce(sum(cost_nanousd) FILTER (WHERE reported_cost_nanousd IS NOT NULL), 0),
    coalesce(sum(reported_cost_nanousd) FILTER (WHERE cost_nanousd IS NULL), 0),
    count(*) FILTER (WHERE reported_cost_nanousd IS NOT NULL AND cost_nanousd IS NOT NULL),
    coalesce(CAST(max(
        abs(cost_nanousd - reported_cost_nanousd) * 1000000.0 / reported_cost_nanousd
    ) FILTER (WHERE reported_cost_nanousd > 0) AS INTEGER), 0)
FROM batch AS b JOIN rollup_groups AS g ON g.identity = b.identity
GROUP BY 1, 2
ON CONFLICT (hour, group_id) DO UPDATE SET
    attempts = min(attempts + excluded.attempts, 9223372036854775807),
    calls = min(calls + excluded.calls, 9223372036854775807),
    model_calls = min(model_calls + excluded.model_calls, 9223372036854775807),
    provider_calls = min(provider_calls + excluded.provider_calls, 9223372036854775807),
    day_calls = min(day_calls + excluded.day_calls, 9223372036854775807),
    input_tokens = min(input_tokens + excluded.input_tokens, 9223372036854775807),
    output_tokens = min(output_tokens + excluded.output_tokens, 9223372036854775807),
    cache_read_input_tokens = min(cache_read_input_tokens + excluded.cache_read_input_tokens, 9223372036854775807),
    cache_creation_input_tokens = min(cache_creation_input_tokens + excluded.cache_creation_input_tokens, 9223372036854775807),
    reasoning_output_tokens = min(reasoning_output_tokens + excluded.reasoning_output_tokens, 9223372036854775807),
    web_search_requests = min(web_search_requests + excluded.web_search_requests, 9223372036854775807),
    cost_nanousd = min(cost_nanousd + excluded.cost_nanousd, 9223372036854775807),
    unknown_cost_attempts = min(unknown_cost_attempts + excluded.unknown_cost_attempts, 9223372036854775807),
    estimated_attempts = min(estimated_attempts + excluded.estimated_attempts, 9223372036854775807),
    unknown_usage_attempts = min(unknown_usage_attempts + excluded.unknown_usage_attempts, 9223372036854775807),
    reported_cost_nanousd = min(reported_cost_nanousd + excluded.reported_cost_nanousd, 9223372036854775807),
    comparable_cost_nanousd = min(comparable_cost_nanousd + excluded.comparable_cost_nanousd, 9223372036854775807),
    reported_only_nanousd = min(reported_only_nanousd + excluded.reported_only_nanousd, 9223372036854775807),
    comparable_attempts = min(comparable_attempts + excluded.comparable_attempts, 9223372036854775807),
    largest_difference_ppm = max(largest_difference_ppm, excluded.largest_difference_ppm)
