-- Which of these ids are kept; they come as one array.
SELECT attempt_id FROM attempts WHERE attempt_id = ANY($1::text[])
