-- Every key, oldest first.
SELECT
    id, name, shown, digest, created_at_us, revoked_at_us, organisation, team, project, "user", session, task,
    branch, pull_request, expires_at_us
FROM keys
ORDER BY created_at_us, id
