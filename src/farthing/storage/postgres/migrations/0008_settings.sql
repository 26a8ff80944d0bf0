-- Settings made through the admin API: `value` is JSON. Running servers poll `changes`.
CREATE TABLE settings (
    path text COLLATE "C" PRIMARY KEY,
    value text NOT NULL,
    changed_at_us bigint NOT NULL,
    changed_by text NOT NULL
);

-- A team's manager sees the team's keys, however many others there are.
CREATE INDEX keys_by_team ON keys (team, id) WHERE deleted_at_us IS NULL;
