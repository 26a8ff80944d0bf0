-- The youngest lines of the audit log, a page of them.
SELECT id, at_us, who, who_name, role, organisation, team, request_id, action, subject, outcome, status, before, after
FROM admin_changes
WHERE id < coalesce($2::text, chr(1114111)) AND ($3::text IS NULL OR who = $3)
    AND ($4::text IS NULL OR action = $4) AND ($5::text IS NULL OR subject = $5)
ORDER BY id DESC
LIMIT $1
