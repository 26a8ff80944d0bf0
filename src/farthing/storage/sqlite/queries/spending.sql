-- Sums over lines begun in [:since, :until), by --groups--, dearest first. What stands between dashes is put in by
-- spending.py from its own table of expressions, never from what anybody typed.
SELECT
    --groups--
    --calls--,
    coalesce(sum(attempts.attempts), 0),
    coalesce(sum(failed_attempts), 0),
    coalesce(sum(free_attempts), 0),
    coalesce(sum(free_tokens), 0),
    coalesce(sum(input_tokens), 0),
    coalesce(max(largest_input_tokens), 0),
    coalesce(sum(output_tokens), 0),
    coalesce(sum(cache_read_input_tokens), 0),
    coalesce(sum(cache_creation_5m_input_tokens), 0),
    coalesce(sum(cache_creation_1h_input_tokens), 0),
    coalesce(sum(reasoning_output_tokens), 0),
    coalesce(sum(media_tokens), 0),
    coalesce(sum(web_search_requests), 0),
    coalesce(sum(cost_nanousd), 0) AS cost,
    coalesce(sum(unknown_cost_attempts), 0),
    coalesce(sum(estimated_attempts), 0),
    coalesce(sum(unknown_usage_attempts), 0)
FROM all_sums AS attempts --tags--
--keys--
WHERE --time----scope--
--grouping--
LIMIT :limit
