-- Which of these ids are kept, or were and have expired; they come as one array.
SELECT attempt_id FROM attempts WHERE attempt_id = ANY($1::text[])
UNION ALL
SELECT attempt_id FROM expired_attempts WHERE attempt_id = ANY($1::text[])
