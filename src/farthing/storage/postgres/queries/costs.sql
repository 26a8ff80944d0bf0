-- What each group cost: dearest first, days in order of time. `costs.py` puts the label of the groups, where the
-- lines are looked for, and which are meant into the places in braces; nothing that anybody said stands there.
SELECT
    ({label})::text COLLATE "C" AS label,
    {calls} AS calls,
    coalesce(sum(attempts.attempts), 0) AS attempts,
    coalesce(sum(input_tokens), 0) AS input_tokens,
    coalesce(sum(output_tokens), 0) AS output_tokens,
    coalesce(sum(cache_read_input_tokens), 0) AS cache_read_input_tokens,
    coalesce(sum(cache_creation_5m_input_tokens + cache_creation_1h_input_tokens), 0) AS cache_creation_input_tokens,
    coalesce(sum(reasoning_output_tokens), 0) AS reasoning_output_tokens,
    coalesce(sum(web_search_requests), 0) AS web_search_requests,
    coalesce(sum(cost_nanousd), 0) AS cost,
    coalesce(sum(unknown_cost_attempts), 0) AS unknown_cost_attempts,
    coalesce(sum(estimated_attempts), 0) AS estimated_attempts,
    coalesce(sum(unknown_usage_attempts), 0) AS unknown_usage_attempts,
    coalesce(sum(reported_cost_nanousd), 0) AS reported_cost,
    coalesce(sum(comparable_cost_nanousd), 0) AS comparable_cost,
    coalesce(sum(reported_only_nanousd), 0) AS reported_only,
    coalesce(sum(comparable_attempts), 0) AS comparable_attempts,
    coalesce(max(largest_difference_ppm), 0) AS largest_difference_ppm
FROM {source}
WHERE {conditions}
GROUP BY 1
ORDER BY {first}, 1 NULLS LAST
{limit}
