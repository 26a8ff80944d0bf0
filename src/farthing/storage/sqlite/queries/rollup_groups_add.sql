-- Make the groups of rows of {lines}, those after :first up to :last, that are not there yet.
INSERT INTO rollup_groups (
    identity, face, operation, provider, model, model_served, key_id, key_name, organisation, team, project, user, task,
    branch, tags, price_id, service_tier
)
SELECT DISTINCT
    json_array(
        face, operation, provider, model, model_served, key_id, key_name, organisation, team, project,
        user, task, branch, tags, price_id, service_tier
    ),
    face, operation, provider, model, model_served, key_id, key_name, organisation, team, project, user, task,
    branch, tags, price_id, service_tier
FROM {lines}
WHERE {place} > :first AND {place} <= :last
ON CONFLICT (identity) DO NOTHING
