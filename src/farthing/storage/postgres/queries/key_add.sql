-- Keep a new key, unless its id, name or digest is taken.
INSERT INTO keys (
    id, name, shown, digest, created_at_us, revoked_at_us, organisation, team, project, "user", session, task,
    branch, pull_request, expires_at_us
) VALUES (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15
)
ON CONFLICT DO NOTHING
