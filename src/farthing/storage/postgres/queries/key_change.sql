-- Change a key that is still as it was read ($26); the counter was counted in the same transaction.
UPDATE keys SET
    name = $2, shown = $3, digest = $4, created_at_us = $5, revoked_at_us = $6, organisation = $7,
    team = $8, project = $9, "user" = $10, session = $11, task = $12, branch = $13,
    pull_request = $14, expires_at_us = $15, tags = $16, bound_model = $17, models = $18, faces = $19,
    disabled_at_us = $20, deleted_at_us = $21, rotated_at_us = $22, old_secrets = $23, fixed = $24, changed = $25
WHERE id = $1 AND changed = $26 AND deleted_at_us IS NULL
