-- Add a batch to one table of sums: a part of attempts_append.sql.
), {table}_kept AS (
    INSERT INTO {table} (
        hour, identity,
        {columns},
        {named}
    )
    SELECT
        hour,
        farthing_digest(json_build_array(
            {columns}
        )::text) AS identity,
        {columns},
        {summed}
    FROM grouped
    GROUP BY
        hour,
        {columns}
    ORDER BY 1, 2
    ON CONFLICT (hour, identity) DO UPDATE SET
        attempts = least({table}.attempts::numeric + excluded.attempts, 9223372036854775807),
        failed_attempts = least({table}.failed_attempts::numeric + excluded.failed_attempts, 9223372036854775807),
        provider_failures = least({table}.provider_failures::numeric + excluded.provider_failures, 9223372036854775807),
        free_attempts = least({table}.free_attempts::numeric + excluded.free_attempts, 9223372036854775807),
        free_tokens = least({table}.free_tokens::numeric + excluded.free_tokens, 9223372036854775807),
        input_tokens = least({table}.input_tokens::numeric + excluded.input_tokens, 9223372036854775807),
        largest_input_tokens = greatest({table}.largest_input_tokens, excluded.largest_input_tokens),
        output_tokens = least({table}.output_tokens::numeric + excluded.output_tokens, 9223372036854775807),
        cache_read_input_tokens = least({table}.cache_read_input_tokens::numeric + excluded.cache_read_input_tokens, 9223372036854775807),
        cache_creation_5m_input_tokens = least({table}.cache_creation_5m_input_tokens::numeric + excluded.cache_creation_5m_input_tokens, 9223372036854775807),
        cache_creation_1h_input_tokens = least({table}.cache_creation_1h_input_tokens::numeric + excluded.cache_creation_1h_input_tokens, 9223372036854775807),
        reasoning_output_tokens = least({table}.reasoning_output_tokens::numeric + excluded.reasoning_output_tokens, 9223372036854775807),
        media_tokens = least({table}.media_tokens::numeric + excluded.media_tokens, 9223372036854775807),
        web_search_requests = least({table}.web_search_requests::numeric + excluded.web_search_requests, 9223372036854775807),
        cost_nanousd = least({table}.cost_nanousd::numeric + excluded.cost_nanousd, 9223372036854775807),
        held_nanousd = least({table}.held_nanousd::numeric + excluded.held_nanousd, 9223372036854775807),
        unknown_cost_attempts = least({table}.unknown_cost_attempts::numeric + excluded.unknown_cost_attempts, 9223372036854775807),
        estimated_attempts = least({table}.estimated_attempts::numeric + excluded.estimated_attempts, 9223372036854775807),
        unknown_usage_attempts = least({table}.unknown_usage_attempts::numeric + excluded.unknown_usage_attempts, 9223372036854775807),
        reported_cost_nanousd = least({table}.reported_cost_nanousd::numeric + excluded.reported_cost_nanousd, 9223372036854775807),
        comparable_cost_nanousd = least({table}.comparable_cost_nanousd::numeric + excluded.comparable_cost_nanousd, 9223372036854775807),
        reported_only_nanousd = least({table}.reported_only_nanousd::numeric + excluded.reported_only_nanousd, 9223372036854775807),
        comparable_attempts = least({table}.comparable_attempts::numeric + excluded.comparable_attempts, 9223372036854775807),
        largest_difference_ppm = greatest({table}.largest_difference_ppm, excluded.largest_difference_ppm),
        calls = least({table}.calls::numeric + excluded.calls, 9223372036854775807),
        provider_calls = least({table}.provider_calls::numeric + excluded.provider_calls, 9223372036854775807),
        model_calls = least({table}.model_calls::numeric + excluded.model_calls, 9223372036854775807),
        priced_calls = least({table}.priced_calls::numeric + excluded.priced_calls, 9223372036854775807),
        day_calls = least({table}.day_calls::numeric + excluded.day_calls, 9223372036854775807)
