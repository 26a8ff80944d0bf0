-- Wait for whoever changes these windows, in an order that is everybody's; and say what time it is afterwards.
SELECT count(pg_advisory_xact_lock(key))
FROM (SELECT DISTINCT hashtextextended(name, 1) AS key FROM unnest($1::text[]) AS name ORDER BY 1) AS keys
