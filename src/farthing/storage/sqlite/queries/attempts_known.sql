-- Which of these ids are kept, or were and have expired; they come as one JSON array.
SELECT attempt_id FROM attempts WHERE attempt_id IN (SELECT value FROM json_each(:ids))
UNION ALL
SELECT attempt_id FROM expired_attempts WHERE attempt_id IN (SELECT value FROM json_each(:ids))
