-- Let nobody post old lines, nor delete any, until the end of the transaction.
SELECT kept_from_us FROM retention FOR UPDATE
