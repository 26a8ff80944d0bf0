-- One host at a time makes or changes the tables of this schema; given back at the end of the transaction. "FTHG".
SELECT pg_advisory_xact_lock(1179928647, hashtext(current_schema()))
