-- Change a key that is still as it was read, unless another one has the name; the counter follows in the transaction.
UPDATE OR IGNORE keys SET
    name = :name, shown = :shown, digest = :digest, created_at_us = :created_at_us, revoked_at_us = :revoked_at_us,
    organisation = :organisation, team = :team, project = :project, user = :user, session = :session, task = :task,
    branch = :branch, pull_request = :pull_request, expires_at_us = :expires_at_us, tags = :tags,
    bound_model = :bound_model, models = :models, faces = :faces, disabled_at_us = :disabled_at_us,
    deleted_at_us = :deleted_at_us, rotated_at_us = :rotated_at_us, old_secrets = :old_secrets,
    fixed = :fixed, changed = (SELECT counter + 1 FROM changes)
WHERE id = :id AND changed = :changed AND deleted_at_us IS NULL
