-- No host keeps attempts until the end of the transaction; those who were about to have done so.
LOCK TABLE attempts IN SHARE MODE
