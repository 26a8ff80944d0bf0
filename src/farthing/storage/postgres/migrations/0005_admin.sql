-- Who else administers, and what was changed. A token itself is not here: `digest` is its HMAC under the pepper.
CREATE TABLE admin_tokens (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    role text NOT NULL,
    team text,
    shown text NOT NULL,
    digest bytea NOT NULL UNIQUE,
    created_at_us bigint NOT NULL,
    expires_at_us bigint,
    revoked_at_us bigint
);
CREATE UNIQUE INDEX admin_tokens_by_name ON admin_tokens (name) WHERE revoked_at_us IS NULL;

-- Ids sort by time. A line is there before its change is made; one that says 'begun' for long is of a process that died.
CREATE TABLE admin_changes (
    id text COLLATE "C" PRIMARY KEY,
    at_us bigint NOT NULL,
    who text NOT NULL,
    who_name text NOT NULL,
    role text NOT NULL,
    team text,
    request_id text NOT NULL,
    action text NOT NULL,
    subject text,
    outcome text NOT NULL,
    status bigint,
    before text,  -- JSON, as is `after`
    after text
);

-- What was spent with one key is asked for often.
CREATE INDEX daily_totals_by_key ON daily_totals (key_id);
