-- Sums by hour with fewer groups than those by everything have: by models, by keys, and by what is worked on, which the
-- others do not all know. A question is answered from the smallest that knows what it is asked by. They are made from
-- behind with the others, so those begin anew, too; but for what is gone, which is added here, as it will not come again.

CREATE TABLE rollups_of_models_groups (
    id INTEGER NOT NULL PRIMARY KEY,
    identity TEXT NOT NULL UNIQUE,  -- all of it as JSON, in which NULL is told from a text
    face TEXT NOT NULL,
    operation TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    model_served TEXT,
    price_id TEXT,
    service_tier TEXT
) STRICT;
CREATE TABLE rollups_of_models (
    hour INTEGER NOT NULL,
    group_id INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    provider_calls INTEGER NOT NULL,
    model_calls INTEGER NOT NULL,
    priced_calls INTEGER NOT NULL,
    day_calls INTEGER NOT NULL,
    failed_attempts INTEGER NOT NULL,
    provider_failures INTEGER NOT NULL,
    free_attempts INTEGER NOT NULL,
    free_tokens INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    largest_input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_read_input_tokens INTEGER NOT NULL,
    cache_creation_5m_input_tokens INTEGER NOT NULL,
    cache_creation_1h_input_tokens INTEGER NOT NULL,
    reasoning_output_tokens INTEGER NOT NULL,
    media_tokens INTEGER NOT NULL,
    web_search_requests INTEGER NOT NULL,
    cost_nanousd INTEGER NOT NULL,
    held_nanousd INTEGER NOT NULL,
    unknown_cost_attempts INTEGER NOT NULL,
    estimated_attempts INTEGER NOT NULL,
    unknown_usage_attempts INTEGER NOT NULL,
    reported_cost_nanousd INTEGER NOT NULL,
    comparable_cost_nanousd INTEGER NOT NULL,
    reported_only_nanousd INTEGER NOT NULL,
    comparable_attempts INTEGER NOT NULL,
    largest_difference_ppm INTEGER NOT NULL,
    PRIMARY KEY (hour, group_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE rollups_of_keys_groups (
    id INTEGER NOT NULL PRIMARY KEY,
    identity TEXT NOT NULL UNIQUE,  -- all of it as JSON, in which NULL is told from a text
    face TEXT NOT NULL,
    key_id TEXT NOT NULL,
    key_name TEXT NOT NULL,
    organisation TEXT NOT NULL,
    team TEXT,
    project TEXT,
    user TEXT,
    tags TEXT
) STRICT;
CREATE TABLE rollups_of_keys (
    hour INTEGER NOT NULL,
    group_id INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    provider_calls INTEGER NOT NULL,
    model_calls INTEGER NOT NULL,
    priced_calls INTEGER NOT NULL,
    day_calls INTEGER NOT NULL,
    failed_attempts INTEGER NOT NULL,
    provider_failures INTEGER NOT NULL,
    free_attempts INTEGER NOT NULL,
    free_tokens INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    largest_input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_read_input_tokens INTEGER NOT NULL,
    cache_creation_5m_input_tokens INTEGER NOT NULL,
    cache_creation_1h_input_tokens INTEGER NOT NULL,
    reasoning_output_tokens INTEGER NOT NULL,
    media_tokens INTEGER NOT NULL,
    web_search_requests INTEGER NOT NULL,
    cost_nanousd INTEGER NOT NULL,
    held_nanousd INTEGER NOT NULL,
    unknown_cost_attempts INTEGER NOT NULL,
    estimated_attempts INTEGER NOT NULL,
    unknown_usage_attempts INTEGER NOT NULL,
    reported_cost_nanousd INTEGER NOT NULL,
    comparable_cost_nanousd INTEGER NOT NULL,
    reported_only_nanousd INTEGER NOT NULL,
    comparable_attempts INTEGER NOT NULL,
    largest_difference_ppm INTEGER NOT NULL,
    PRIMARY KEY (hour, group_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE rollups_of_work_groups (
    id INTEGER NOT NULL PRIMARY KEY,
    identity TEXT NOT NULL UNIQUE,  -- all of it as JSON, in which NULL is told from a text
    session TEXT,
    conversation TEXT,
    task TEXT,
    sub_agent TEXT,
    branch TEXT,
    pull_request TEXT
) STRICT;
CREATE TABLE rollups_of_work (
    hour INTEGER NOT NULL,
    group_id INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    provider_calls INTEGER NOT NULL,
    model_calls INTEGER NOT NULL,
    priced_calls INTEGER NOT NULL,
    day_calls INTEGER NOT NULL,
    failed_attempts INTEGER NOT NULL,
    provider_failures INTEGER NOT NULL,
    free_attempts INTEGER NOT NULL,
    free_tokens INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    largest_input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_read_input_tokens INTEGER NOT NULL,
    cache_creation_5m_input_tokens INTEGER NOT NULL,
    cache_creation_1h_input_tokens INTEGER NOT NULL,
    reasoning_output_tokens INTEGER NOT NULL,
    media_tokens INTEGER NOT NULL,
    web_search_requests INTEGER NOT NULL,
    cost_nanousd INTEGER NOT NULL,
    held_nanousd INTEGER NOT NULL,
    unknown_cost_attempts INTEGER NOT NULL,
    estimated_attempts INTEGER NOT NULL,
    unknown_usage_attempts INTEGER NOT NULL,
    reported_cost_nanousd INTEGER NOT NULL,
    comparable_cost_nanousd INTEGER NOT NULL,
    reported_only_nanousd INTEGER NOT NULL,
    comparable_attempts INTEGER NOT NULL,
    largest_difference_ppm INTEGER NOT NULL,
    PRIMARY KEY (hour, group_id)
) STRICT, WITHOUT ROWID;

DELETE FROM rollups;
UPDATE rollup_state SET rolled_to = 0;
CREATE TEMP TABLE rollup_gone AS
SELECT
    started_at_us / 3600000000 AS hour,
    face, operation, provider, model, model_served, key_id, key_name, organisation, team, project, user, session,
    conversation, task, sub_agent, branch, pull_request, tags, price_id, service_tier,
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
    sum(reported_cost_nanousd) AS reported_cost_nanousd, sum(comparable_cost_nanousd) AS comparable_cost_nanousd,
    sum(reported_only_nanousd) AS reported_only_nanousd, sum(comparable_attempts) AS comparable_attempts,
    max(largest_difference_ppm) AS largest_difference_ppm
FROM (
    SELECT
        started_at_us,
        face, operation, provider, model, model_served, key_id, key_name, organisation, team, project, user, session,
        conversation, task, sub_agent, branch, pull_request, tags, price_id, service_tier,
        attempts, failed_attempts, provider_failures, free_attempts, free_tokens, input_tokens, largest_input_tokens,
        output_tokens, cache_read_input_tokens, cache_creation_5m_input_tokens, cache_creation_1h_input_tokens,
        reasoning_output_tokens, media_tokens, web_search_requests, cost_nanousd, held_nanousd, unknown_cost_attempts,
        estimated_attempts, unknown_usage_attempts, reported_cost_nanousd, comparable_cost_nanousd,
        reported_only_nanousd, comparable_attempts, largest_difference_ppm,
        calls, provider_calls, model_calls, model_calls AS priced_calls, calls AS day_calls
    FROM expired_sums AS attempts
    WHERE TRUE
)
GROUP BY 1, face, operation, provider, model, model_served, key_id, key_name, organisation, team, project, user, session,
    conversation, task, sub_agent, branch, pull_request, tags, price_id, service_tier;
INSERT INTO rollups_of_models_groups (identity, face, operation, provider, model, model_served, price_id, service_tier)
SELECT json_array(face, operation, provider, model, model_served, price_id, service_tier), face, operation, provider, model, model_served, price_id, service_tier
FROM (SELECT DISTINCT face, operation, provider, model, model_served, price_id, service_tier FROM temp.rollup_gone)
WHERE TRUE
ON CONFLICT (identity) DO NOTHING;
INSERT INTO rollups_of_models (
    hour, group_id,
    attempts, calls, provider_calls, model_calls, priced_calls, day_calls, failed_attempts, provider_failures,
    free_attempts, free_tokens, input_tokens, largest_input_tokens, output_tokens, cache_read_input_tokens,
    cache_creation_5m_input_tokens, cache_creation_1h_input_tokens, reasoning_output_tokens, media_tokens,
    web_search_requests, cost_nanousd, held_nanousd, unknown_cost_attempts, estimated_attempts,
    unknown_usage_attempts, reported_cost_nanousd, comparable_cost_nanousd, reported_only_nanousd,
    comparable_attempts, largest_difference_ppm
)
SELECT
    hour, g.id,
    sum(attempts), sum(calls), sum(provider_calls), sum(model_calls), sum(priced_calls), sum(day_calls),
    sum(failed_attempts), sum(provider_failures), sum(free_attempts), sum(free_tokens), sum(input_tokens),
    max(largest_input_tokens), sum(output_tokens), sum(cache_read_input_tokens),
    sum(cache_creation_5m_input_tokens), sum(cache_creation_1h_input_tokens), sum(reasoning_output_tokens),
    sum(media_tokens), sum(web_search_requests), sum(cost_nanousd), sum(held_nanousd), sum(unknown_cost_attempts),
    sum(estimated_attempts), sum(unknown_usage_attempts), sum(reported_cost_nanousd), sum(comparable_cost_nanousd),
    sum(reported_only_nanousd), sum(comparable_attempts), max(largest_difference_ppm)
FROM temp.rollup_gone AS b JOIN rollups_of_models_groups AS g ON g.identity = json_array(b.face, b.operation, b.provider, b.model, b.model_served, b.price_id, b.service_tier)
GROUP BY 1, 2;
INSERT INTO rollups_of_keys_groups (identity, face, key_id, key_name, organisation, team, project, user, tags)
SELECT json_array(face, key_id, key_name, organisation, team, project, user, tags), face, key_id, key_name, organisation, team, project, user, tags
FROM (SELECT DISTINCT face, key_id, key_name, organisation, team, project, user, tags FROM temp.rollup_gone)
WHERE TRUE
ON CONFLICT (identity) DO NOTHING;
INSERT INTO rollups_of_keys (
    hour, group_id,
    attempts, calls, provider_calls, model_calls, priced_calls, day_calls, failed_attempts, provider_failures,
    free_attempts, free_tokens, input_tokens, largest_input_tokens, output_tokens, cache_read_input_tokens,
    cache_creation_5m_input_tokens, cache_creation_1h_input_tokens, reasoning_output_tokens, media_tokens,
    web_search_requests, cost_nanousd, held_nanousd, unknown_cost_attempts, estimated_attempts,
    unknown_usage_attempts, reported_cost_nanousd, comparable_cost_nanousd, reported_only_nanousd,
    comparable_attempts, largest_difference_ppm
)
SELECT
    hour, g.id,
    sum(attempts), sum(calls), sum(provider_calls), sum(model_calls), sum(priced_calls), sum(day_calls),
    sum(failed_attempts), sum(provider_failures), sum(free_attempts), sum(free_tokens), sum(input_tokens),
    max(largest_input_tokens), sum(output_tokens), sum(cache_read_input_tokens),
    sum(cache_creation_5m_input_tokens), sum(cache_creation_1h_input_tokens), sum(reasoning_output_tokens),
    sum(media_tokens), sum(web_search_requests), sum(cost_nanousd), sum(held_nanousd), sum(unknown_cost_attempts),
    sum(estimated_attempts), sum(unknown_usage_attempts), sum(reported_cost_nanousd), sum(comparable_cost_nanousd),
    sum(reported_only_nanousd), sum(comparable_attempts), max(largest_difference_ppm)
FROM temp.rollup_gone AS b JOIN rollups_of_keys_groups AS g ON g.identity = json_array(b.face, b.key_id, b.key_name, b.organisation, b.team, b.project, b.user, b.tags)
GROUP BY 1, 2;
INSERT INTO rollups_of_work_groups (identity, session, conversation, task, sub_agent, branch, pull_request)
SELECT json_array(session, conversation, task, sub_agent, branch, pull_request), session, conversation, task, sub_agent, branch, pull_request
FROM (SELECT DISTINCT session, conversation, task, sub_agent, branch, pull_request FROM temp.rollup_gone)
WHERE TRUE
ON CONFLICT (identity) DO NOTHING;
INSERT INTO rollups_of_work (
    hour, group_id,
    attempts, calls, provider_calls, model_calls, priced_calls, day_calls, failed_attempts, provider_failures,
    free_attempts, free_tokens, input_tokens, largest_input_tokens, output_tokens, cache_read_input_tokens,
    cache_creation_5m_input_tokens, cache_creation_1h_input_tokens, reasoning_output_tokens, media_tokens,
    web_search_requests, cost_nanousd, held_nanousd, unknown_cost_attempts, estimated_attempts,
    unknown_usage_attempts, reported_cost_nanousd, comparable_cost_nanousd, reported_only_nanousd,
    comparable_attempts, largest_difference_ppm
)
SELECT
    hour, g.id,
    sum(attempts), sum(calls), sum(provider_calls), sum(model_calls), sum(priced_calls), sum(day_calls),
    sum(failed_attempts), sum(provider_failures), sum(free_attempts), sum(free_tokens), sum(input_tokens),
    max(largest_input_tokens), sum(output_tokens), sum(cache_read_input_tokens),
    sum(cache_creation_5m_input_tokens), sum(cache_creation_1h_input_tokens), sum(reasoning_output_tokens),
    sum(media_tokens), sum(web_search_requests), sum(cost_nanousd), sum(held_nanousd), sum(unknown_cost_attempts),
    sum(estimated_attempts), sum(unknown_usage_attempts), sum(reported_cost_nanousd), sum(comparable_cost_nanousd),
    sum(reported_only_nanousd), sum(comparable_attempts), max(largest_difference_ppm)
FROM temp.rollup_gone AS b JOIN rollups_of_work_groups AS g ON g.identity = json_array(b.session, b.conversation, b.task, b.sub_agent, b.branch, b.pull_request)
GROUP BY 1, 2;
INSERT INTO rollup_groups (identity, face, operation, provider, model, model_served, key_id, key_name, organisation, team, project, user, task, branch, tags, price_id, service_tier)
SELECT json_array(face, operation, provider, model, model_served, key_id, key_name, organisation, team, project, user, task, branch, tags, price_id, service_tier), face, operation, provider, model, model_served, key_id, key_name, organisation, team, project, user, task, branch, tags, price_id, service_tier
FROM (SELECT DISTINCT face, operation, provider, model, model_served, key_id, key_name, organisation, team, project, user, task, branch, tags, price_id, service_tier FROM temp.rollup_gone)
WHERE TRUE
ON CONFLICT (identity) DO NOTHING;
INSERT INTO rollups (
    hour, group_id,
    attempts, calls, provider_calls, model_calls, priced_calls, day_calls, failed_attempts, provider_failures,
    free_attempts, free_tokens, input_tokens, largest_input_tokens, output_tokens, cache_read_input_tokens,
    cache_creation_5m_input_tokens, cache_creation_1h_input_tokens, reasoning_output_tokens, media_tokens,
    web_search_requests, cost_nanousd, held_nanousd, unknown_cost_attempts, estimated_attempts,
    unknown_usage_attempts, reported_cost_nanousd, comparable_cost_nanousd, reported_only_nanousd,
    comparable_attempts, largest_difference_ppm
)
SELECT
    hour, g.id,
    sum(attempts), sum(calls), sum(provider_calls), sum(model_calls), sum(priced_calls), sum(day_calls),
    sum(failed_attempts), sum(provider_failures), sum(free_attempts), sum(free_tokens), sum(input_tokens),
    max(largest_input_tokens), sum(output_tokens), sum(cache_read_input_tokens),
    sum(cache_creation_5m_input_tokens), sum(cache_creation_1h_input_tokens), sum(reasoning_output_tokens),
    sum(media_tokens), sum(web_search_requests), sum(cost_nanousd), sum(held_nanousd), sum(unknown_cost_attempts),
    sum(estimated_attempts), sum(unknown_usage_attempts), sum(reported_cost_nanousd), sum(comparable_cost_nanousd),
    sum(reported_only_nanousd), sum(comparable_attempts), max(largest_difference_ppm)
FROM temp.rollup_gone AS b JOIN rollup_groups AS g ON g.identity = json_array(b.face, b.operation, b.provider, b.model, b.model_served, b.key_id, b.key_name, b.organisation, b.team, b.project, b.user, b.task, b.branch, b.tags, b.price_id, b.service_tier)
GROUP BY 1, 2;
DROP TABLE temp.rollup_gone;
ALTER TABLE rollup_groups RENAME TO rollups_groups;
