-- What was changed after that.
SELECT id, rule FROM limits WHERE changed > ? ORDER BY id
