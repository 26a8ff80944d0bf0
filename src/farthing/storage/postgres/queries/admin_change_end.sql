-- What came of a change.
UPDATE admin_changes SET subject = $2, outcome = $3, status = $4, before = $5, after = $6 WHERE id = $1
