-- Keep whoever deletes lines from it until the end of the transaction.
SELECT kept_from_us FROM retention FOR SHARE
