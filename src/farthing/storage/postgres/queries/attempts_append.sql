-- Keep attempts, each once, and add what is new to the daily totals, in one statement. They come as a JSON array of
-- objects, so that the columns are found by their names; what is not told is NULL. Rows are taken in the order of their
-- ids, totals and accounts in an order of their own, so that two hosts never wait for each other. Where the tables are not of
-- the version that the program knows ($2), nothing is kept, and the version says so. A total stops at the largest
-- integer, and verify shows that it did. Where some began so long ago that they may have been here and expired, nothing is
-- kept and that is told; with $4 the ids of what has expired are looked at. The statement is planned when the tables are
-- small and kept when they are large: with OFFSET 0 a call's other attempts are never looked for by reading all lines.
WITH kept_from AS (
    SELECT kept_from_us FROM retention
), told AS MATERIALIZED (
    SELECT given.* FROM json_populate_recordset(NULL::attempts, $1::json) AS given
), old AS (
    SELECT 1 FROM told, kept_from WHERE started_at_us < kept_from_us
), new AS (
    INSERT INTO attempts
    SELECT given.*
    FROM told AS given
    WHERE (SELECT version FROM farthing) = $2
        AND ($4 OR NOT EXISTS (SELECT 1 FROM old))
        AND NOT ($4 AND EXISTS (SELECT 1 FROM expired_attempts AS e WHERE e.attempt_id = given.attempt_id))
    ORDER BY given.attempt_id
    ON CONFLICT (attempt_id) DO NOTHING
    RETURNING *
), added AS (
    INSERT INTO daily_totals (
        day, key_id, provider, model, attempts, unknown_cost_attempts, estimated_attempts, unknown_usage_attempts,
        input_tokens, output_tokens, cache_read_input_tokens, cache_creation_5m_input_tokens,
        cache_creation_1h_input_tokens, reasoning_output_tokens, web_search_requests, cost_nanousd
    )
    SELECT
        to_char(date '1970-01-01' + (started_at_us / 86400000000)::integer, 'YYYY-MM-DD') COLLATE "C" AS day, key_id, provider, model,
        count(*) AS attempts,
        count(*) - count(cost_nanousd) AS unknown_cost_attempts,
        count(*) FILTER (WHERE cost_basis = 'estimated') AS estimated_attempts,
        count(*) FILTER (WHERE input_tokens IS NULL OR output_tokens IS NULL) AS unknown_usage_attempts,
        least(coalesce(sum(input_tokens), 0), 9223372036854775807) AS input_tokens,
        least(coalesce(sum(output_tokens), 0), 9223372036854775807) AS output_tokens,
        least(sum(cache_read_input_tokens), 9223372036854775807) AS cache_read_input_tokens,
        least(sum(cache_creation_5m_input_tokens), 9223372036854775807) AS cache_creation_5m_input_tokens,
        least(sum(cache_creation_1h_input_tokens), 9223372036854775807) AS cache_creation_1h_input_tokens,
        least(sum(reasoning_output_tokens), 9223372036854775807) AS reasoning_output_tokens,
        least(sum(web_search_requests), 9223372036854775807) AS web_search_requests,
        least(coalesce(sum(cost_nanousd), 0), 9223372036854775807) AS cost_nanousd
    FROM new
    GROUP BY 1, 2, 3, 4
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (day, key_id, provider, farthing_digest(model)) DO UPDATE SET
        attempts = least(daily_totals.attempts::numeric + excluded.attempts, 9223372036854775807),
        unknown_cost_attempts = least(daily_totals.unknown_cost_attempts::numeric + excluded.unknown_cost_attempts, 9223372036854775807),
        estimated_attempts = least(daily_totals.estimated_attempts::numeric + excluded.estimated_attempts, 9223372036854775807),
        unknown_usage_attempts = least(daily_totals.unknown_usage_attempts::numeric + excluded.unknown_usage_attempts, 9223372036854775807),
        input_tokens = least(daily_totals.input_tokens::numeric + excluded.input_tokens, 9223372036854775807),
        output_tokens = least(daily_totals.output_tokens::numeric + excluded.output_tokens, 9223372036854775807),
        cache_read_input_tokens = least(daily_totals.cache_read_input_tokens::numeric + excluded.cache_read_input_tokens, 9223372036854775807),
        cache_creation_5m_input_tokens = least(daily_totals.cache_creation_5m_input_tokens::numeric + excluded.cache_creation_5m_input_tokens, 9223372036854775807),
        cache_creation_1h_input_tokens = least(daily_totals.cache_creation_1h_input_tokens::numeric + excluded.cache_creation_1h_input_tokens, 9223372036854775807),
        reasoning_output_tokens = least(daily_totals.reasoning_output_tokens::numeric + excluded.reasoning_output_tokens, 9223372036854775807),
        web_search_requests = least(daily_totals.web_search_requests::numeric + excluded.web_search_requests, 9223372036854775807),
        cost_nanousd = least(daily_totals.cost_nanousd::numeric + excluded.cost_nanousd, 9223372036854775807)
), lines AS (
    SELECT
        started_at_us,
        face, operation, provider, model, model_served, key_id, key_name, organisation, team, project, "user",
        session, conversation, task, sub_agent, branch, pull_request, tags, price_id, service_tier,
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
        (row_number() OVER (PARTITION BY call_id ORDER BY ordinal, attempt_id) = 1 AND NOT again)::integer AS calls,
        (
            row_number() OVER (PARTITION BY call_id, provider ORDER BY ordinal, attempt_id) = 1
            AND (NOT again OR NOT EXISTS (SELECT 1 FROM attempts AS e WHERE e.call_id = n.call_id AND e.provider = n.provider OFFSET 0))
        )::integer AS provider_calls,
        (
            row_number() OVER (PARTITION BY call_id, provider, model ORDER BY ordinal, attempt_id) = 1
            AND (NOT again OR NOT EXISTS (SELECT 1 FROM attempts AS e WHERE e.call_id = n.call_id AND e.provider = n.provider AND e.model = n.model OFFSET 0))
        )::integer AS model_calls,
        (
            row_number() OVER (PARTITION BY call_id, provider, model, model_served, price_id, service_tier ORDER BY ordinal, attempt_id) = 1
            AND (NOT again OR NOT EXISTS (SELECT 1 FROM attempts AS e WHERE e.call_id = n.call_id AND e.provider = n.provider AND e.model = n.model AND e.model_served IS NOT DISTINCT FROM n.model_served
            AND e.price_id IS NOT DISTINCT FROM n.price_id AND e.service_tier IS NOT DISTINCT FROM n.service_tier OFFSET 0))
        )::integer AS priced_calls,
        (
            row_number() OVER (PARTITION BY call_id, started_at_us / 86400000000 ORDER BY ordinal, attempt_id) = 1
            AND (NOT again OR NOT EXISTS (SELECT 1 FROM attempts AS e WHERE e.call_id = n.call_id AND e.started_at_us / 86400000000 = n.started_at_us / 86400000000 OFFSET 0))
        )::integer AS day_calls
    FROM (SELECT *, EXISTS (SELECT 1 FROM attempts AS e WHERE e.call_id = new.call_id OFFSET 0) AS again FROM new) AS n
), grouped AS MATERIALIZED (
    SELECT
        started_at_us / 3600000000 AS hour,
        face, operation, provider, model, model_served, key_id, key_name, organisation, team, project, "user",
        session, conversation, task, sub_agent, branch, pull_request, tags, price_id, service_tier,
        sum(attempts) AS attempts, sum(failed_attempts) AS failed_attempts,
        sum(provider_failures) AS provider_failures, sum(free_attempts) AS free_attempts,
        sum(free_tokens) AS free_tokens, sum(input_tokens) AS input_tokens,
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
        max(largest_difference_ppm) AS largest_difference_ppm, sum(calls) AS calls,
        sum(provider_calls) AS provider_calls, sum(model_calls) AS model_calls, sum(priced_calls) AS priced_calls,
        sum(day_calls) AS day_calls
    FROM lines
    GROUP BY
        started_at_us / 3600000000,
        face, operation, provider, model, model_served, key_id, key_name, organisation, team, project, "user",
        session, conversation, task, sub_agent, branch, pull_request, tags, price_id, service_tier
{sums}
), batch AS (
    SELECT
        organisation, team, project, key_id, "user", session, task,
        string_to_array(replace(replace(coalesce(tags, ''), ', ', ','), ' ,', ','), ',') AS tag_list,
        started_at_us / 1000000 * 1000000 AS second_us,  -- periods begin and end on whole seconds
        least(sum(coalesce(cost_nanousd, 0)), 9223372036854775807)::bigint AS posted,
        least(coalesce(sum(held_nanousd) FILTER (WHERE cost_nanousd IS NULL), 0), 9223372036854775807)::bigint AS unknown
    FROM new
    WHERE cost_nanousd > 0 OR (cost_nanousd IS NULL AND held_nanousd > 0)
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
), charges AS (
    SELECT a.number, sum(b.posted)::bigint AS posted, sum(b.unknown)::bigint AS unknown
    FROM batch AS b
    CROSS JOIN LATERAL (
        VALUES
            ('all', ''), ('organisation', b.organisation), ('team', b.team), ('project', b.project),
            ('key_id', b.key_id), ('user', b."user"), ('session', b.session), ('task', b.task)
        UNION
        SELECT 'tag', tag FROM unnest(b.tag_list) AS tag WHERE tag <> ''
    ) AS found (anchor, value)
    JOIN accounts AS a ON a.anchor = found.anchor AND a.anchor_value = found.value
        AND a.start_us <= b.second_us AND (a.end_us IS NULL OR a.end_us > b.second_us)
        AND (a.organisation IS NULL OR a.organisation = b.organisation)
        AND (a.team IS NULL OR a.team = b.team)
        AND (a.project IS NULL OR a.project = b.project)
        AND (a.key_id IS NULL OR a.key_id = b.key_id)
        AND (a."user" IS NULL OR a."user" = b."user")
        AND (a.session IS NULL OR a.session = b.session)
        AND (a.task IS NULL OR a.task = b.task)
        AND (a.tag IS NULL OR a.tag = ANY(b.tag_list))
    GROUP BY a.number
), locked AS (
    SELECT number FROM accounts WHERE number IN (SELECT number FROM charges) ORDER BY number FOR UPDATE
), charged AS (
    UPDATE accounts AS a SET
        posted_nanousd = a.posted_nanousd + c.posted, unknown_nanousd = a.unknown_nanousd + c.unknown
    FROM charges AS c JOIN locked USING (number)
    WHERE a.number = c.number
), taken AS (
    UPDATE leases AS l SET
        left_nanousd = l.left_nanousd - c.posted - c.unknown,
        charged_nanousd = l.charged_nanousd + c.posted + c.unknown
    FROM charges AS c JOIN locked USING (number)
    WHERE l.account = c.number AND l.holder = $3
)
SELECT (SELECT count(*) FROM new), (SELECT version FROM farthing), NOT $4 AND EXISTS (SELECT 1 FROM old)
