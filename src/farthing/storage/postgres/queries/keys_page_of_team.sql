-- A team's keys in order of id, a page of them.
SELECT
    id, name, shown, digest, created_at_us, revoked_at_us, organisation, team, project, "user", session, task,
    branch, pull_request, expires_at_us, tags, bound_model, models, faces, disabled_at_us, deleted_at_us,
    rotated_at_us, old_secrets, fixed, changed
FROM keys
WHERE deleted_at_us IS NULL AND id COLLATE "C" > $2
    AND team = $3 AND ($5::text IS NULL OR organisation = $5)
    AND ($4::text IS NULL OR project = $4)
ORDER BY id COLLATE "C"
LIMIT $1
