-- Make the groups of the rows of a batch, those after :first up to :last, that are not there yet.
INSERT INTO rollup_groups (
    identity, face, provider, model, key_id, key_name, organisation, team, project, user, tags
)
SELECT DISTINCT
    json_array(face, provider, model, key_id, key_name, organisation, team, project, user, tags),
    face, provider, model, key_id, key_name, organisation, team, project, user, tags
FROM attempts
WHERE rowid > :first AND rowid <= :last
ON CONFLICT (identity) DO NOTHING
