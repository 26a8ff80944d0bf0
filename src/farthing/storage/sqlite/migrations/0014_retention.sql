-- What expires: lines are deleted when they are older than they are to be kept, and what they add up to stays.

-- Sums of lines that are gone, by the quarter of an hour they began in and everything that costs and budgets are asked
-- by. Periods of budgets begin on such quarters in every time zone, so sums over a period are exact. Several rows may
-- stand for one group: each batch that is deleted adds its own. A call is counted with the first of its attempts: of
-- all, of those at its provider, of those on its model.
CREATE TABLE expired_sums (
    id INTEGER NOT NULL PRIMARY KEY,
    started_at_us INTEGER NOT NULL,
    face TEXT NOT NULL,
    operation TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    model_served TEXT,
    key_id TEXT NOT NULL,
    key_name TEXT NOT NULL,
    organisation TEXT NOT NULL,
    team TEXT,
    project TEXT,
    user TEXT,
    session TEXT,
    conversation TEXT,
    task TEXT,
    sub_agent TEXT,
    branch TEXT,
    pull_request TEXT,
    tags TEXT,
    outcome TEXT NOT NULL,
    price_id TEXT,
    service_tier TEXT,
    attempts INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    provider_calls INTEGER NOT NULL,
    model_calls INTEGER NOT NULL,
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
    largest_difference_ppm INTEGER NOT NULL
) STRICT;
CREATE INDEX expired_sums_by_start ON expired_sums (started_at_us);

-- The ids of lines that are gone: a journal that comes late must not post one again.
CREATE TABLE expired_attempts (
    attempt_id TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Lines that began before `kept_from_us` may be gone; and which process deletes, until when nobody else does.
CREATE TABLE retention (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    kept_from_us INTEGER NOT NULL,
    expired INTEGER NOT NULL,
    expired_at_us INTEGER,
    holder TEXT NOT NULL,
    until_us INTEGER NOT NULL
) STRICT;
INSERT INTO retention (id, kept_from_us, expired, holder, until_us) VALUES (1, 0, 0, '', 0);

-- Lines as sums of one, and all there ever were: those that are there and those that are gone.
CREATE VIEW attempt_sums AS
SELECT
    rowid AS place, started_at_us, call_id,
    face, operation, provider, model, model_served, key_id, key_name, organisation, team, project, user, session,
    conversation, task, sub_agent, branch, pull_request, tags, outcome, price_id, service_tier,
    1 AS attempts,
    (outcome IN ('provider_error', 'unreachable')) AS failed_attempts,
    (outcome IN ('provider_cut', 'unreachable', 'timeout')
        OR (outcome = 'provider_error' AND coalesce(http_status, 0) NOT IN (400, 404, 405, 406, 410, 411, 413, 414, 415, 422))) AS provider_failures,
    (outcome = 'ok' AND cost_nanousd IS 0) AS free_attempts,
    CASE WHEN outcome = 'ok' AND cost_nanousd IS 0 THEN coalesce(input_tokens, 0) + coalesce(output_tokens, 0) ELSE 0 END AS free_tokens,
    coalesce(input_tokens, 0) AS input_tokens,
    coalesce(input_tokens, 0) AS largest_input_tokens,
    coalesce(output_tokens, 0) AS output_tokens,
    cache_read_input_tokens,
    cache_creation_5m_input_tokens,
    cache_creation_1h_input_tokens,
    reasoning_output_tokens,
    input_audio_tokens + output_audio_tokens + input_image_tokens + output_image_tokens AS media_tokens,
    web_search_requests,
    coalesce(cost_nanousd, 0) AS cost_nanousd,
    CASE WHEN cost_nanousd IS NULL THEN coalesce(held_nanousd, 0) ELSE 0 END AS held_nanousd,
    (cost_nanousd IS NULL) AS unknown_cost_attempts,
    (cost_basis = 'estimated') AS estimated_attempts,
    (input_tokens IS NULL OR output_tokens IS NULL) AS unknown_usage_attempts,
    CASE WHEN cost_nanousd IS NOT NULL THEN coalesce(reported_cost_nanousd, 0) ELSE 0 END AS reported_cost_nanousd,
    CASE WHEN reported_cost_nanousd IS NOT NULL THEN coalesce(cost_nanousd, 0) ELSE 0 END AS comparable_cost_nanousd,
    CASE WHEN cost_nanousd IS NULL THEN coalesce(reported_cost_nanousd, 0) ELSE 0 END AS reported_only_nanousd,
    (reported_cost_nanousd IS NOT NULL AND cost_nanousd IS NOT NULL) AS comparable_attempts,
    coalesce(CASE WHEN reported_cost_nanousd > 0 THEN
        CAST(abs(cost_nanousd - reported_cost_nanousd) * 1000000.0 / reported_cost_nanousd AS INTEGER)
    END, 0) AS largest_difference_ppm
FROM attempts;
CREATE VIEW all_sums AS
SELECT
    started_at_us, call_id,
    face, operation, provider, model, model_served, key_id, key_name, organisation, team, project, user, session,
    conversation, task, sub_agent, branch, pull_request, tags, outcome, price_id, service_tier,
    attempts, 0 AS calls, 0 AS provider_calls, 0 AS model_calls, failed_attempts, provider_failures,
    free_attempts, free_tokens, input_tokens, largest_input_tokens, output_tokens, cache_read_input_tokens,
    cache_creation_5m_input_tokens, cache_creation_1h_input_tokens, reasoning_output_tokens, media_tokens,
    web_search_requests, cost_nanousd, held_nanousd, unknown_cost_attempts, estimated_attempts,
    unknown_usage_attempts, reported_cost_nanousd, comparable_cost_nanousd, reported_only_nanousd,
    comparable_attempts, largest_difference_ppm
FROM attempt_sums
UNION ALL
SELECT
    started_at_us, NULL,
    face, operation, provider, model, model_served, key_id, key_name, organisation, team, project, user, session,
    conversation, task, sub_agent, branch, pull_request, tags, outcome, price_id, service_tier,
    attempts, calls, provider_calls, model_calls, failed_attempts, provider_failures, free_attempts, free_tokens,
    input_tokens, largest_input_tokens, output_tokens, cache_read_input_tokens, cache_creation_5m_input_tokens,
    cache_creation_1h_input_tokens, reasoning_output_tokens, media_tokens, web_search_requests, cost_nanousd,
    held_nanousd, unknown_cost_attempts, estimated_attempts, unknown_usage_attempts, reported_cost_nanousd,
    comparable_cost_nanousd, reported_only_nanousd, comparable_attempts, largest_difference_ppm
FROM expired_sums;

-- The sums by hour and group have more groups and more sums, so that reports are answered from them as well as costs.
-- They are made again from behind. A call is counted with the first of its attempts that came: of all, of those at its
-- provider, on its model, at its price, on its UTC day.
DROP TABLE rollups;
DROP TABLE rollup_groups;
CREATE TABLE rollup_groups (
    id INTEGER NOT NULL PRIMARY KEY,
    identity TEXT NOT NULL UNIQUE,  -- all of it as JSON, in which NULL is told from a text
    face TEXT NOT NULL,
    operation TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    model_served TEXT,
    key_id TEXT NOT NULL,
    key_name TEXT NOT NULL,
    organisation TEXT NOT NULL,
    team TEXT,
    project TEXT,
    user TEXT,
    task TEXT,
    branch TEXT,
    tags TEXT,
    price_id TEXT,
    service_tier TEXT
) STRICT;
CREATE TABLE rollups (
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
UPDATE rollup_state SET rolled_to = 0;
