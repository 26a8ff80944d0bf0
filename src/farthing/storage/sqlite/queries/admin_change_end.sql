-- What came of a change.
UPDATE admin_changes
SET subject = :subject, outcome = :outcome, status = :status, before = :before, after = :after
WHERE id = :id
