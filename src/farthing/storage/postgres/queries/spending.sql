-- Sums over attempts begun in [$1, $2), by --groups--, dearest first. What stands between dashes is put in by
-- spending.py from its own table of expressions, never from what anybody typed.
SELECT
    --groups--
    count(DISTINCT call_id),
    count(*),
    count(*) FILTER (WHERE outcome IN ('provider_error', 'unreachable')),
    count(*) FILTER (WHERE outcome = 'ok' AND cost_nanousd = 0),
    coalesce(sum(
        CASE WHEN outcome = 'ok' AND cost_nanousd = 0 THEN coalesce(input_tokens, 0) + coalesce(output_tokens, 0) END
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
    count(*) FILTER (WHERE cost_basis = 'estimated'),
    count(*) FILTER (WHERE input_tokens IS NULL OR output_tokens IS NULL)
FROM attempts --tags--
LEFT JOIN keys ON keys.id = attempts.key_id
WHERE ($1::bigint IS NULL OR started_at_us >= $1) AND ($2::bigint IS NULL OR started_at_us < $2)--scope--
--grouping--
LIMIT $3
