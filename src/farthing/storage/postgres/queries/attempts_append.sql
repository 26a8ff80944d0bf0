-- Keep attempts, each once, and add what is new to the daily totals, in one statement. They come as a JSON array of
-- objects, so that the columns are found by their names; what is not told is NULL. Rows are taken in the order of their
-- ids, totals and accounts in an order of their own, so that two hosts never wait for each other. Where the tables are not of
-- the version that the program knows ($2), nothing is kept, and the version says so. A total stops at the largest
-- integer, and verify shows that it did.
WITH new AS (
    INSERT INTO attempts
    SELECT given.*
    FROM json_populate_recordset(NULL::attempts, $1::json) AS given
    WHERE (SELECT version FROM farthing) = $2
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
), hourly AS (
    INSERT INTO hourly_totals (
        hour, organisation, team, project, key_id, "user", provider, attempts, failed, spent_nanousd
    )
    SELECT
        started_at_us / 3600000000, organisation, coalesce(team, ''), coalesce(project, ''), key_id,
        coalesce("user", ''), provider, count(*), count(*) FILTER (WHERE farthing_failed(outcome, http_status)),
        least(sum(coalesce(cost_nanousd, held_nanousd, 0)), 9223372036854775807)
    FROM new
    GROUP BY 1, 2, 3, 4, 5, 6, 7
    ORDER BY 1, 2, 3, 4, 5, 6, 7
    ON CONFLICT (
        hour, farthing_digest(organisation), farthing_digest(team), farthing_digest(project), farthing_digest(key_id),
        farthing_digest("user"), farthing_digest(provider)
    ) DO UPDATE SET
        attempts = hourly_totals.attempts + excluded.attempts,
        failed = hourly_totals.failed + excluded.failed,
        spent_nanousd = least(hourly_totals.spent_nanousd::numeric + excluded.spent_nanousd, 9223372036854775807)
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
SELECT (SELECT count(*) FROM new), (SELECT version FROM farthing)
