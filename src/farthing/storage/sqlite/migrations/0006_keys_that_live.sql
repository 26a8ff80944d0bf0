-- Keys can be disabled, rotated, bound and deleted. The table is made anew, because the name of a deleted key is free
-- again and a column's UNIQUE cannot be taken away. A deleted key's row stays: its spend shows under its name, and its
-- id never comes back. `changed` is the value of the counter when a row changed last, so that running servers read what
-- is new and nothing else; it takes the place of the triggers. Lists are JSON, NULL where they are empty.
CREATE TABLE keys_anew (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    shown TEXT NOT NULL,
    digest BLOB NOT NULL,
    created_at_us INTEGER NOT NULL,
    revoked_at_us INTEGER,
    organisation TEXT NOT NULL,
    team TEXT,
    project TEXT,
    user TEXT,
    session TEXT,
    task TEXT,
    branch TEXT,
    pull_request TEXT,
    expires_at_us INTEGER,
    tags TEXT,
    bound_model TEXT,
    models TEXT,
    faces TEXT,
    disabled_at_us INTEGER,
    deleted_at_us INTEGER,
    rotated_at_us INTEGER,
    old_secrets TEXT,
    changed INTEGER NOT NULL
) STRICT;
INSERT INTO keys_anew (
    id, name, shown, digest, created_at_us, revoked_at_us, organisation, team, project, user, session, task, branch,
    pull_request, expires_at_us, changed
)
SELECT
    id, name, shown, digest, created_at_us, revoked_at_us, organisation, team, project, user, session, task, branch,
    pull_request, expires_at_us, rowid
FROM keys;
DROP TABLE keys;
ALTER TABLE keys_anew RENAME TO keys;
CREATE UNIQUE INDEX keys_by_name ON keys (name) WHERE deleted_at_us IS NULL;
CREATE UNIQUE INDEX keys_by_digest ON keys (digest) WHERE deleted_at_us IS NULL;
CREATE UNIQUE INDEX keys_by_change ON keys (changed);
UPDATE changes SET counter = max(counter, (SELECT coalesce(max(changed), 0) FROM keys)) + 1;
