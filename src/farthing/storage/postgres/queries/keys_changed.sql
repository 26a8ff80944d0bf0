-- A page of the keys that changed after the counter stood at $1, deleted ones too, in order of change.
SELECT
    id, name, shown, digest, created_at_us, revoked_at_us, organisation, team, project, "user", session, task,
    branch, pull_request, expires_at_us, tags, bound_model, models, faces, disabled_at_us, deleted_at_us,
    rotated_at_us, old_secrets, fixed, changed
FROM keys
WHERE changed > $1
ORDER BY changed
LIMIT $2
