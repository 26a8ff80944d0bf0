-- Revoke a key; the first time stays.
UPDATE keys SET revoked_at_us = :at WHERE id = :id AND revoked_at_us IS NULL
