-- The batch is added.
DELETE FROM temp.rollup_batch
