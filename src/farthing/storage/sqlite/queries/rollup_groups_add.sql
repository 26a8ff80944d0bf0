-- Make the groups of {table} that a batch has and that are not there yet.
INSERT INTO {table}_groups (identity, {columns})
SELECT json_array({columns}), {columns}
FROM (SELECT DISTINCT {columns} FROM temp.rollup_batch)
WHERE TRUE
ON CONFLICT (identity) DO NOTHING
