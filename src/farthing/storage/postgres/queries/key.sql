-- The key with this id, or else the one of this name.
SELECT
    id, name, shown, digest, created_at_us, revoked_at_us, organisation, team, project, "user", session, task,
    branch, pull_request, expires_at_us, tags, bound_model, models, faces, disabled_at_us, deleted_at_us,
    rotated_at_us, old_secrets, fixed, changed
FROM keys
WHERE id = coalesce(  -- one index each; an OR would read them all
    (SELECT id FROM keys WHERE deleted_at_us IS NULL AND id = $1),
    (SELECT id FROM keys WHERE deleted_at_us IS NULL AND name = $1)
)
