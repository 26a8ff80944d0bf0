-- Forget sealed credentials, or make room for what they become.
DELETE FROM credentials WHERE id = ANY($1::text[])
