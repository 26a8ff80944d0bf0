-- A change is about to be made.
INSERT INTO admin_changes (
    id, at_us, who, who_name, role, organisation, team, request_id, action, subject, outcome, status, before, after
)
VALUES (
    :id, :at_us, :who, :who_name, :role, :organisation, :team, :request_id, :action, :subject, :outcome, :status, :before, :after
)
