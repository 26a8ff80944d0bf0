-- A change is about to be made.
INSERT INTO admin_changes (
    id, at_us, who, who_name, role, organisation, team, request_id, action, subject, outcome, status, before, after
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
