-- Sums over attempts begun in [:since, :until), by --groups--, dearest first. What stands between dashes is put in by
-- spending.py from its own table of expressions, never from what anybody typed.
SELECT
    --groups--
    count(DISTINCT call_id),
    count(*),
    coalesce(sum(outcome IN ('provider_error', 'unreachable')), 0),
    coalesce(sum(outcome = 'ok' AND cost_nanousd IS 0), 0),
    coalesce(sum(
        CASE WHEN outcome = 'ok' AND cost_nanousd IS 0 THEN coalesce(input_tokens, 0) + coalesce(output_tokens, 0) END
    ), 0),
    coalesce(sum(input_tokens), 0),
    coalesce(max(input_tokens), 0),
    coalesce(sum(output_tokens), 0),
    coalesce(sum(cache_read_input_tokens), 0),
    coalesce(sum(cache_creation_5m_input_tokens), 0),
    coalesce(sum(cache_creation_1h_input_tokens), 0),
    coalesce(sum(reasoning_output_tokens), 0),
    coalesce(sum(input_audio_tokens + output_audio_tokens + input_image_tokens + output_image_tokens), 0),
    coalesce(sum(web_search_requests), 0),
    coalesce(sum(cost_nanousd), 0) AS cost,
    count(*) - count(cost_nanousd),
    coalesce(sum(cost_basis = 'estimated'), 0),
    coalesce(sum(input_tokens IS NULL OR output_tokens IS NULL), 0)
FROM attempts --tags--
LEFT JOIN keys ON keys.id = attempts.key_id
WHERE (:since IS NULL OR started_at_us >= :since) AND (:until IS NULL OR started_at_us < :until)--scope--
--grouping--
LIMIT :limit
