-- What was changed after that.
SELECT id, rule FROM limits WHERE changed > $1 ORDER BY id
