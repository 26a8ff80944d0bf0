-- Settings made through the admin API: `value` is JSON. Running servers poll `changes`.
CREATE TABLE settings (
    path TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL,
    changed_at_us INTEGER NOT NULL,
    changed_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER settings_added AFTER INSERT ON settings BEGIN
    UPDATE changes SET counter = counter + 1;
END;
CREATE TRIGGER settings_changed AFTER UPDATE ON settings BEGIN
    UPDATE changes SET counter = counter + 1;
END;
CREATE TRIGGER settings_removed AFTER DELETE ON settings BEGIN
    UPDATE changes SET counter = counter + 1;
END;

-- A team's manager sees the team's keys, however many others there are.
CREATE INDEX keys_by_team ON keys (team, id) WHERE deleted_at_us IS NULL;
