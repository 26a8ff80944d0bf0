-- Attempts that are not rolled up, or not as hours: a part of costs_rolled.sql.
UNION ALL
SELECT
    {label}, NOT EXISTS (
        SELECT 1 FROM attempts AS e
        WHERE e.call_id = attempts.call_id AND e.rowid < attempts.rowid AND {within} AND {alike}
    ),
    1, coalesce(input_tokens, 0), coalesce(output_tokens, 0), cache_read_input_tokens,
    cache_creation_5m_input_tokens + cache_creation_1h_input_tokens, reasoning_output_tokens, web_search_requests,
    coalesce(cost_nanousd, 0), cost_nanousd IS NULL, cost_basis = 'estimated',
    input_tokens IS NULL OR output_tokens IS NULL,
    CASE WHEN cost_nanousd IS NOT NULL THEN coalesce(reported_cost_nanousd, 0) ELSE 0 END,
    CASE WHEN reported_cost_nanousd IS NOT NULL THEN coalesce(cost_nanousd, 0) ELSE 0 END,
    CASE WHEN cost_nanousd IS NULL THEN coalesce(reported_cost_nanousd, 0) ELSE 0 END,
    reported_cost_nanousd IS NOT NULL AND cost_nanousd IS NOT NULL,
    coalesce(CASE WHEN reported_cost_nanousd > 0 THEN
        CAST(abs(cost_nanousd - reported_cost_nanousd) * 1000000.0 / reported_cost_nanousd AS INTEGER)
    END, 0)
FROM {source}
WHERE {span} AND {conditions}
