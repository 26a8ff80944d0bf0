-- Providers' credentials: `ciphertext` is the secret under the master key `key_id`, bound to id and provider; `quotas`
-- is JSON. Running servers poll `changes`.
CREATE TABLE credentials (
    id TEXT NOT NULL PRIMARY KEY,
    provider TEXT NOT NULL,
    name TEXT NOT NULL UNIQUE,
    weight INTEGER NOT NULL,
    enabled INTEGER NOT NULL,
    created_at_us INTEGER NOT NULL,
    rotated_at_us INTEGER,
    ciphertext BLOB NOT NULL,
    nonce BLOB NOT NULL,
    key_id TEXT NOT NULL,
    quotas TEXT NOT NULL
) STRICT;
CREATE TRIGGER credentials_added AFTER INSERT ON credentials BEGIN
    UPDATE changes SET counter = counter + 1;
END;
CREATE TRIGGER credentials_removed AFTER DELETE ON credentials BEGIN
    UPDATE changes SET counter = counter + 1;
END;
-- Which credential an attempt was made with, by its name. Of what was kept before that is not known.
ALTER TABLE attempts ADD COLUMN credential TEXT;
