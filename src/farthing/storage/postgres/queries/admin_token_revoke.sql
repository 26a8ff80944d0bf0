-- A token opens nothing from now on; the first time stays.
UPDATE admin_tokens SET revoked_at_us = $2 WHERE id = $1 AND revoked_at_us IS NULL
