-- Tables in the schema that have names which ours will have.
SELECT tablename::text FROM pg_tables
WHERE schemaname = current_schema() AND tablename IN ('attempts', 'daily_totals', 'keys', 'changes', 'budgets')
ORDER BY 1
