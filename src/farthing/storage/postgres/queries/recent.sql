-- The attempts of the youngest calls older than $2; ids of calls sort by birth, so the index gives the order.
WITH youngest AS (
    SELECT DISTINCT call_id FROM attempts
    WHERE call_id < coalesce($2::text, chr(1114111))  -- behind every id; an OR would read all that is younger
    ORDER BY call_id DESC
    LIMIT $1
)
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
WHERE call_id IN (SELECT call_id FROM youngest)
ORDER BY call_id DESC, ordinal, attempt_id
