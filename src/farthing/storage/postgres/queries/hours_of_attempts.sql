-- What a scope spent, hour by hour, from the lines themselves, and of those that are gone.
SELECT started_at_us / 3600000000 AS hour, sum(cost_nanousd) + sum(held_nanousd), sum(attempts), sum(provider_failures)
FROM all_sums
WHERE started_at_us >= $1 * 3600000000 AND started_at_us < $2 * 3600000000
    AND ($3::text IS NULL OR organisation = $3)
    AND ($4::text IS NULL OR team = $4)
    AND ($5::text IS NULL OR project = $5)
    AND ($6::text IS NULL OR key_id = $6)
    AND ($7::text IS NULL OR "user" = $7)
    AND ($8::text IS NULL OR task = $8)
    AND ($9::text IS NULL OR strpos(
        ',' || replace(replace(coalesce(tags, ''), ', ', ','), ' ,', ',') || ',', ',' || $9 || ','
    ) > 0)
    AND ($10::text IS NULL OR session = $10)
GROUP BY 1
ORDER BY 1
