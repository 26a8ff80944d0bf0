-- Count a change to the keys.
UPDATE changes SET counter = counter + 1 RETURNING counter
