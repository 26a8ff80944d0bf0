-- What a table of sums counts: a part of the statements that add to one.
attempts, failed_attempts, provider_failures, free_attempts, free_tokens, input_tokens, largest_input_tokens,
output_tokens, cache_read_input_tokens, cache_creation_5m_input_tokens, cache_creation_1h_input_tokens,
reasoning_output_tokens, media_tokens, web_search_requests, cost_nanousd, held_nanousd, unknown_cost_attempts,
estimated_attempts, unknown_usage_attempts, reported_cost_nanousd, comparable_cost_nanousd,
reported_only_nanousd, comparable_attempts, largest_difference_ppm, calls, provider_calls, model_calls,
priced_calls, day_calls
