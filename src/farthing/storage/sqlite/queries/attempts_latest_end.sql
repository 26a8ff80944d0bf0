-- When the last of a batch's attempts ended.
SELECT max(ended_at_us) FROM attempts WHERE rowid > :first AND rowid <= :last
