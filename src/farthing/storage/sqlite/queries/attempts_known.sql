-- Which of these ids are kept; they come as one JSON array.
SELECT attempt_id FROM attempts WHERE attempt_id IN (SELECT value FROM json_each(?))
