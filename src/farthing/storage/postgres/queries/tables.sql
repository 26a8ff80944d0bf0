-- The columns of every table of the schema; what stands for the installation itself is not moved.
SELECT table_name::text, column_name::text
FROM information_schema.columns
WHERE table_schema = current_schema() AND table_name <> 'farthing'
    AND table_name NOT IN (SELECT viewname FROM pg_views WHERE schemaname = current_schema())
ORDER BY table_name, ordinal_position
