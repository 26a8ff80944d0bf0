-- Give a key another name, unless another key has it.
UPDATE keys SET name = :name WHERE id = :id AND NOT EXISTS (SELECT 1 FROM keys WHERE name = :name AND id <> :id)
