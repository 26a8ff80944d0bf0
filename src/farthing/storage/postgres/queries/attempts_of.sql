-- These attempts, as far as they are kept; the ids come as one array.
SELECT
    attempt_id, call_id, ordinal, started_at_us, face, operation, provider, model_asked, model, streamed,
    input_tokens_estimate, credential, reasons, key_id, key_name, organisation, team, project, "user", session, conversation,
    task, parent_call_id, sub_agent, branch, pull_request, tags, held_nanousd, ended_at_us, outcome, http_status,
    cost_nanousd, cost_basis, price_id, reported_cost_nanousd, model_served, service_tier, first_output_us,
    upstream_request_id, error_code, error_message, losses, input_tokens, output_tokens, cache_read_input_tokens,
    cache_creation_5m_input_tokens, cache_creation_1h_input_tokens, input_audio_tokens,
    cache_read_audio_tokens, reasoning_output_tokens, output_audio_tokens, input_image_tokens, output_image_tokens,
    web_search_requests, usage_flags
FROM attempts
WHERE attempt_id = ANY($1::text[])
ORDER BY attempt_id
