-- Keep a new key, unless its id, name or digest is taken; the counter follows in the same transaction.
INSERT INTO keys (
    id, name, shown, digest, created_at_us, revoked_at_us, organisation, team, project, user, session, task,
    branch, pull_request, expires_at_us, tags, bound_model, models, faces, disabled_at_us, deleted_at_us,
    rotated_at_us, old_secrets, fixed, changed
) VALUES (
    :id, :name, :shown, :digest, :created_at_us, :revoked_at_us, :organisation, :team, :project, :user, :session, :task,
    :branch, :pull_request, :expires_at_us, :tags, :bound_model, :models, :faces, :disabled_at_us, :deleted_at_us,
    :rotated_at_us, :old_secrets, :fixed, (SELECT counter + 1 FROM changes)
)
ON CONFLICT DO NOTHING
