-- A team's keys in order of id, a page of them.
SELECT
    id, name, shown, digest, created_at_us, revoked_at_us, organisation, team, project, user, session, task,
    branch, pull_request, expires_at_us, tags, bound_model, models, faces, disabled_at_us, deleted_at_us,
    rotated_at_us, old_secrets, fixed, changed
FROM keys
WHERE deleted_at_us IS NULL AND id > :after
    AND team = :team AND (:organisation IS NULL OR organisation = :organisation)
    AND (:project IS NULL OR project = :project)
ORDER BY id
LIMIT :limit
