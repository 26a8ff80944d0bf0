-- The first tables: attempts, their daily totals, client keys.
-- Times are microseconds since 1970 UTC, money is nanodollars, NULL is unknown. STRICT, because a sum that overflows
-- would otherwise turn into a float without a word.

CREATE TABLE attempts (
    attempt_id TEXT NOT NULL PRIMARY KEY,
    call_id TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    started_at_us INTEGER NOT NULL,
    face TEXT NOT NULL,
    operation TEXT NOT NULL,
    provider TEXT NOT NULL,
    model_asked TEXT NOT NULL,
    model TEXT NOT NULL,
    streamed INTEGER NOT NULL,
    input_tokens_estimate INTEGER NOT NULL,
    -- for whom and for what
    key_id TEXT NOT NULL,
    key_name TEXT NOT NULL,
    organisation TEXT NOT NULL,
    team TEXT,
    project TEXT,
    user TEXT,
    session TEXT,
    conversation TEXT,
    task TEXT,
    parent_call_id TEXT,
    sub_agent TEXT,
    branch TEXT,
    pull_request TEXT,
    tags TEXT,
    -- how it ended
    ended_at_us INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    http_status INTEGER,
    cost_nanousd INTEGER,
    cost_basis TEXT NOT NULL,
    price_id TEXT,
    reported_cost_nanousd INTEGER,
    model_served TEXT,
    service_tier TEXT,
    first_output_us INTEGER,
    upstream_request_id TEXT,
    error_code TEXT,
    error_message TEXT,
    -- what it used; parts are inclusive, see types/usage.py
    input_tokens INTEGER,
    output_tokens INTEGER,
    cache_read_input_tokens INTEGER NOT NULL,
    cache_creation_5m_input_tokens INTEGER NOT NULL,
    cache_creation_1h_input_tokens INTEGER NOT NULL,
    input_audio_tokens INTEGER NOT NULL,
    cache_read_audio_tokens INTEGER NOT NULL,
    reasoning_output_tokens INTEGER NOT NULL,
    output_audio_tokens INTEGER NOT NULL,
    web_search_requests INTEGER NOT NULL,
    usage_flags TEXT
) STRICT;

-- Both grow at their end, because ids and times do, and cost about 1 us a row each.
CREATE INDEX attempts_by_call ON attempts (call_id);
CREATE INDEX attempts_by_start ON attempts (started_at_us);

-- Kept in the same transaction as the attempts they add up; `day` is the UTC day an attempt began on.
CREATE TABLE daily_totals (
    day TEXT NOT NULL,
    key_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    unknown_cost_attempts INTEGER NOT NULL,
    estimated_attempts INTEGER NOT NULL,
    unknown_usage_attempts INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cache_read_input_tokens INTEGER NOT NULL,
    cache_creation_5m_input_tokens INTEGER NOT NULL,
    cache_creation_1h_input_tokens INTEGER NOT NULL,
    reasoning_output_tokens INTEGER NOT NULL,
    web_search_requests INTEGER NOT NULL,
    cost_nanousd INTEGER NOT NULL,
    PRIMARY KEY (day, key_id, provider, model)
) STRICT, WITHOUT ROWID;

-- The key itself is not here: `digest` is its HMAC under the pepper, `shown` its first characters.
CREATE TABLE keys (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    shown TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE,
    created_at_us INTEGER NOT NULL,
    revoked_at_us INTEGER,
    organisation TEXT NOT NULL,
    team TEXT,
    project TEXT,
    user TEXT
) STRICT;

-- One row that grows with every change to the keys; running servers poll it.
CREATE TABLE changes (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    counter INTEGER NOT NULL
) STRICT;
INSERT INTO changes (id, counter) VALUES (1, 0);
CREATE TRIGGER keys_added AFTER INSERT ON keys BEGIN
    UPDATE changes SET counter = counter + 1;
END;
CREATE TRIGGER keys_changed AFTER UPDATE ON keys BEGIN
    UPDATE changes SET counter = counter + 1;
END;
CREATE TRIGGER keys_removed AFTER DELETE ON keys BEGIN
    UPDATE changes SET counter = counter + 1;
END;
