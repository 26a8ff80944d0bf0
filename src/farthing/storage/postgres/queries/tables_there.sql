-- Whether there are tables of ours in the schema that new tables are made in. Not asked with to_regclass: in a
-- transaction that has waited for a lock, it still knows what it knew before.
SELECT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'farthing')
