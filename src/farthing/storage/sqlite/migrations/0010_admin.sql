-- Who else administers, and what was changed. A token itself is not here: `digest` is its HMAC under the pepper.
CREATE TABLE admin_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    team TEXT,
    shown TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE,
    created_at_us INTEGER NOT NULL,
    expires_at_us INTEGER,
    revoked_at_us INTEGER
) STRICT;
CREATE UNIQUE INDEX admin_tokens_by_name ON admin_tokens (name) WHERE revoked_at_us IS NULL;

-- Ids sort by time. A line is there before its change is made; one that says 'begun' for long is of a process that died.
CREATE TABLE admin_changes (
    id TEXT NOT NULL PRIMARY KEY,
    at_us INTEGER NOT NULL,
    who TEXT NOT NULL,
    who_name TEXT NOT NULL,
    role TEXT NOT NULL,
    team TEXT,
    request_id TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT,
    outcome TEXT NOT NULL,
    status INTEGER,
    before TEXT,  -- JSON, as is `after`
    after TEXT
) STRICT, WITHOUT ROWID;

-- What was spent with one key is asked for often.
CREATE INDEX daily_totals_by_key ON daily_totals (key_id);
