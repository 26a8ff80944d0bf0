-- Keep a new key, unless its id, name or digest is taken; the counter was counted in the same transaction.
INSERT INTO keys (
    id, name, shown, digest, created_at_us, revoked_at_us, organisation, team, project, "user", session, task,
    branch, pull_request, expires_at_us, tags, bound_model, models, faces, disabled_at_us, deleted_at_us,
    rotated_at_us, old_secrets, fixed, changed
) VALUES (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,
    $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25
)
ON CONFLICT DO NOTHING
