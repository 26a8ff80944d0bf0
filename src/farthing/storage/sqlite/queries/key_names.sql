-- Names of the youngest keys.
SELECT name FROM keys WHERE deleted_at_us IS NULL ORDER BY rowid DESC LIMIT ?
