-- A token opens nothing from now on; the first time stays.
UPDATE admin_tokens SET revoked_at_us = :at WHERE id = :id AND revoked_at_us IS NULL
