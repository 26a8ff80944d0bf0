-- Names of the youngest keys.
SELECT name FROM keys WHERE deleted_at_us IS NULL ORDER BY created_at_us DESC, id DESC LIMIT $1
