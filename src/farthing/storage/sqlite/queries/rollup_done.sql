-- Everything up to this row is rolled up.
UPDATE rollup_state SET rolled_to = ?
