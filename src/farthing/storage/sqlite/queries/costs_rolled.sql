-- What each group cost, mostly from what is rolled up; the columns are those of costs.sql. `rollups.py` puts in what
-- stands in braces: the parts that are not rolled up are attempts one by one.
WITH parts AS (
    SELECT
        {label} AS label, rollups.{calls} AS calls,
        rollups.attempts, rollups.input_tokens, rollups.output_tokens, rollups.cache_read_input_tokens,
        rollups.cache_creation_input_tokens, rollups.reasoning_output_tokens, rollups.web_search_requests,
        rollups.cost_nanousd, rollups.unknown_cost_attempts, rollups.estimated_attempts,
        rollups.unknown_usage_attempts, rollups.reported_cost_nanousd, rollups.comparable_cost_nanousd,
        rollups.reported_only_nanousd, rollups.comparable_attempts, rollups.largest_difference_ppm
    FROM rollups CROSS JOIN {groups}
    WHERE attempts.id = rollups.group_id AND {hours} AND {conditions}
    {others}
)
SELECT
    label,
    coalesce(sum(calls), 0) AS calls,
    coalesce(sum(attempts), 0) AS attempts,
    coalesce(sum(input_tokens), 0) AS input_tokens,
    coalesce(sum(output_tokens), 0) AS output_tokens,
    coalesce(sum(cache_read_input_tokens), 0) AS cache_read_input_tokens,
    coalesce(sum(cache_creation_input_tokens), 0) AS cache_creation_input_tokens,
    coalesce(sum(reasoning_output_tokens), 0) AS reasoning_output_tokens,
    coalesce(sum(web_search_requests), 0) AS web_search_requests,
    coalesce(sum(cost_nanousd), 0) AS cost_nanousd,
    coalesce(sum(unknown_cost_attempts), 0) AS unknown_cost_attempts,
    coalesce(sum(estimated_attempts), 0) AS estimated_attempts,
    coalesce(sum(unknown_usage_attempts), 0) AS unknown_usage_attempts,
    coalesce(sum(reported_cost_nanousd), 0) AS reported_cost_nanousd,
    coalesce(sum(comparable_cost_nanousd), 0) AS comparable_cost_nanousd,
    coalesce(sum(reported_only_nanousd), 0) AS reported_only_nanousd,
    coalesce(sum(comparable_attempts), 0) AS comparable_attempts,
    coalesce(max(largest_difference_ppm), 0) AS largest_difference_ppm
FROM parts
GROUP BY label
ORDER BY {first}, label NULLS LAST
