-- Delete calls that are over before $1, the oldest first, about $2 of their attempts; what they add up to is added to the
-- sums of what is gone by the same statement. Told is how many attempts they were.
WITH oldest AS (
    SELECT DISTINCT call_id
    FROM (SELECT call_id FROM attempts WHERE started_at_us < $1 ORDER BY started_at_us LIMIT $2) AS first
), deleted AS (
    DELETE FROM attempts AS a
    USING oldest
    WHERE a.call_id = oldest.call_id
        AND NOT EXISTS (SELECT 1 FROM attempts AS e WHERE e.call_id = oldest.call_id AND e.started_at_us >= $1)
    RETURNING a.*
), gone AS (
    SELECT
        started_at_us,
        face, operation, provider, model, model_served, key_id, key_name, organisation, team, project, "user",
        session, conversation, task, sub_agent, branch, pull_request, tags, outcome, price_id, service_tier,
        1::bigint AS attempts,
        (outcome IN ('provider_error', 'unreachable'))::integer AS failed_attempts,
        (farthing_failed(outcome, http_status))::integer AS provider_failures,
        (coalesce(outcome = 'ok' AND cost_nanousd = 0, FALSE))::integer AS free_attempts,
        CASE WHEN coalesce(outcome = 'ok' AND cost_nanousd = 0, FALSE) THEN coalesce(input_tokens, 0)::numeric + coalesce(output_tokens, 0) ELSE 0 END AS free_tokens,
        coalesce(input_tokens, 0) AS input_tokens,
        coalesce(input_tokens, 0) AS largest_input_tokens,
        coalesce(output_tokens, 0) AS output_tokens,
        cache_read_input_tokens,
        cache_creation_5m_input_tokens,
        cache_creation_1h_input_tokens,
        reasoning_output_tokens,
        input_audio_tokens::numeric + output_audio_tokens + input_image_tokens + output_image_tokens AS media_tokens,
        web_search_requests,
        coalesce(cost_nanousd, 0) AS cost_nanousd,
        CASE WHEN cost_nanousd IS NULL THEN coalesce(held_nanousd, 0) ELSE 0 END AS held_nanousd,
        (cost_nanousd IS NULL)::integer AS unknown_cost_attempts,
        (cost_basis = 'estimated')::integer AS estimated_attempts,
        (input_tokens IS NULL OR output_tokens IS NULL)::integer AS unknown_usage_attempts,
        CASE WHEN cost_nanousd IS NOT NULL THEN coalesce(reported_cost_nanousd, 0) ELSE 0 END AS reported_cost_nanousd,
        CASE WHEN reported_cost_nanousd IS NOT NULL THEN coalesce(cost_nanousd, 0) ELSE 0 END AS comparable_cost_nanousd,
        CASE WHEN cost_nanousd IS NULL THEN coalesce(reported_cost_nanousd, 0) ELSE 0 END AS reported_only_nanousd,
        (reported_cost_nanousd IS NOT NULL AND cost_nanousd IS NOT NULL)::integer AS comparable_attempts,
        CASE WHEN reported_cost_nanousd > 0 AND cost_nanousd IS NOT NULL THEN
        abs(cost_nanousd - reported_cost_nanousd)::double precision * 1000000.0::double precision / reported_cost_nanousd
    ELSE 0 END AS largest_difference_ppm,
        row_number() OVER (PARTITION BY call_id ORDER BY ordinal, attempt_id) = 1 AS first_try,
        row_number() OVER (PARTITION BY call_id, provider ORDER BY ordinal, attempt_id) = 1 AS first_at_provider,
        row_number() OVER (PARTITION BY call_id, provider, model ORDER BY ordinal, attempt_id) = 1 AS first_on_model
    FROM deleted
), added AS (
    INSERT INTO expired_sums (
        started_at_us,
        face, operation, provider, model, model_served, key_id, key_name, organisation, team, project, "user",
        session, conversation, task, sub_agent, branch, pull_request, tags, outcome, price_id, service_tier,
        attempts, calls, provider_calls, model_calls, failed_attempts, provider_failures, free_attempts,
        free_tokens, input_tokens, largest_input_tokens, output_tokens, cache_read_input_tokens,
        cache_creation_5m_input_tokens, cache_creation_1h_input_tokens, reasoning_output_tokens, media_tokens,
        web_search_requests, cost_nanousd, held_nanousd, unknown_cost_attempts, estimated_attempts,
        unknown_usage_attempts, reported_cost_nanousd, comparable_cost_nanousd, reported_only_nanousd,
        comparable_attempts, largest_difference_ppm
    )
    SELECT
        started_at_us / 900000000 * 900000000,
        face, operation, provider, model, model_served, key_id, key_name, organisation, team, project, "user",
        session, conversation, task, sub_agent, branch, pull_request, tags, outcome, price_id, service_tier,
        least(sum(attempts), 9223372036854775807), count(*) FILTER (WHERE first_try),
        count(*) FILTER (WHERE first_at_provider), count(*) FILTER (WHERE first_on_model),
        least(sum(failed_attempts), 9223372036854775807), least(sum(provider_failures), 9223372036854775807),
        least(sum(free_attempts), 9223372036854775807), least(sum(free_tokens), 9223372036854775807),
        least(sum(input_tokens), 9223372036854775807), max(largest_input_tokens),
        least(sum(output_tokens), 9223372036854775807), least(sum(cache_read_input_tokens), 9223372036854775807),
        least(sum(cache_creation_5m_input_tokens), 9223372036854775807),
        least(sum(cache_creation_1h_input_tokens), 9223372036854775807),
        least(sum(reasoning_output_tokens), 9223372036854775807), least(sum(media_tokens), 9223372036854775807),
        least(sum(web_search_requests), 9223372036854775807), least(sum(cost_nanousd), 9223372036854775807),
        least(sum(held_nanousd), 9223372036854775807), least(sum(unknown_cost_attempts), 9223372036854775807),
        least(sum(estimated_attempts), 9223372036854775807),
        least(sum(unknown_usage_attempts), 9223372036854775807),
        least(sum(reported_cost_nanousd), 9223372036854775807),
        least(sum(comparable_cost_nanousd), 9223372036854775807),
        least(sum(reported_only_nanousd), 9223372036854775807),
        least(sum(comparable_attempts), 9223372036854775807),
        least(trunc(max(largest_difference_ppm)::numeric), 9223372036854775807)
    FROM gone
    GROUP BY
        started_at_us / 900000000,
        face, operation, provider, model, model_served, key_id, key_name, organisation, team, project, "user",
        session, conversation, task, sub_agent, branch, pull_request, tags, outcome, price_id, service_tier
), named AS (
    INSERT INTO expired_attempts SELECT attempt_id FROM deleted ON CONFLICT DO NOTHING
)
SELECT count(*) FROM deleted
