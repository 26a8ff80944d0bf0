-- The youngest lines of the audit log, a page of them.
SELECT id, at_us, who, who_name, role, organisation, team, request_id, action, subject, outcome, status, before, after
FROM admin_changes
WHERE id < coalesce(:before_id, char(1114111)) AND (:who IS NULL OR who = :who)
    AND (:action IS NULL OR action = :action) AND (:subject IS NULL OR subject = :subject)
ORDER BY id DESC
LIMIT :limit
