-- Give a key another name, unless another key has it.
UPDATE keys SET name = $2 WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM keys WHERE name = $2 AND id <> $1)
