-- Remember the ids of the rows :rows.
INSERT INTO expired_attempts
SELECT attempt_id FROM attempts WHERE rowid IN (SELECT value FROM json_each(:rows)) ORDER BY attempt_id
ON CONFLICT DO NOTHING
