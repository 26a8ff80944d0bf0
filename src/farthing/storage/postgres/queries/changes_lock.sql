-- Whoever else changes keys or credentials waits until the end of the transaction.
SELECT counter FROM changes FOR UPDATE
