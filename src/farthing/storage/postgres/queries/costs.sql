-- What each group cost: dearest first, days in order of time. `costs.py` puts the label of the groups, where the
-- attempts are looked for, and which are meant into the places in braces; nothing that anybody said stands there.
SELECT
    ({label})::text COLLATE "C" AS label,
    count(DISTINCT call_id) AS calls,
    count(*) AS attempts,
    coalesce(sum(input_tokens), 0) AS input_tokens,
    coalesce(sum(output_tokens), 0) AS output_tokens,
    sum(cache_read_input_tokens) AS cache_read_input_tokens,
    sum(cache_creation_5m_input_tokens + cache_creation_1h_input_tokens) AS cache_creation_input_tokens,
    sum(reasoning_output_tokens) AS reasoning_output_tokens,
    sum(web_search_requests) AS web_search_requests,
    coalesce(sum(cost_nanousd), 0) AS cost,
    count(*) - count(cost_nanousd) AS unknown_cost_attempts,
    count(*) FILTER (WHERE cost_basis = 'estimated') AS estimated_attempts,
    count(*) FILTER (WHERE input_tokens IS NULL OR output_tokens IS NULL) AS unknown_usage_attempts,
    coalesce(sum(reported_cost_nanousd) FILTER (WHERE cost_nanousd IS NOT NULL), 0) AS reported_cost,
    coalesce(sum(cost_nanousd) FILTER (WHERE reported_cost_nanousd IS NOT NULL), 0) AS comparable_cost,
    coalesce(sum(reported_cost_nanousd) FILTER (WHERE cost_nanousd IS NULL), 0) AS reported_only,
    count(*) FILTER (WHERE reported_cost_nanousd IS NOT NULL AND cost_nanousd IS NOT NULL) AS comparable_attempts,
    coalesce(max(
        abs(cost_nanousd - reported_cost_nanousd)::double precision * 1000000.0::double precision / reported_cost_nanousd
    ) FILTER (WHERE reported_cost_nanousd > 0), 0) AS largest_difference_ppm
FROM {source}
WHERE {conditions}
GROUP BY 1
ORDER BY {first}, 1 NULLS LAST
