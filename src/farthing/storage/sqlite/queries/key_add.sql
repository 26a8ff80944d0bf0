-- Keep a new key, unless its id, name or digest is taken.
INSERT INTO keys (
    id, name, shown, digest, created_at_us, revoked_at_us, organisation, team, project, user, session, task,
    branch, pull_request, expires_at_us
) VALUES (
    ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
)
ON CONFLICT DO NOTHING
