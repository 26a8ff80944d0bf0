-- A token that is for a team says of which organisation. One from before is for that of the team's first key, which is
-- where its manager could make keys.
ALTER TABLE admin_tokens ADD COLUMN organisation TEXT;
UPDATE admin_tokens
SET organisation = coalesce(
    (SELECT keys.organisation FROM keys WHERE keys.team = admin_tokens.team ORDER BY keys.deleted_at_us IS NOT NULL, keys.id LIMIT 1),
    'default'
)
WHERE team IS NOT NULL;
ALTER TABLE admin_changes ADD COLUMN organisation TEXT;

-- Whether another organisation has a team of the same name is asked for every rule that names a team alone.
CREATE INDEX keys_by_organisation ON keys (team, organisation);
