-- What a scope spent, hour by hour, from the sums.
SELECT hour, sum(cost_nanousd) + sum(held_nanousd), sum(attempts), sum(provider_failures)
FROM rollups
WHERE hour >= $1 AND hour < $2
    AND ($3::text IS NULL OR organisation = $3)
    AND ($4::text IS NULL OR team = $4)
    AND ($5::text IS NULL OR project = $5)
    AND ($6::text IS NULL OR key_id = $6)
    AND ($7::text IS NULL OR "user" = $7)
    AND ($8::text IS NULL OR task = $8)
    AND ($9::text IS NULL OR strpos(
        ',' || replace(replace(coalesce(tags, ''), ', ', ','), ' ,', ',') || ',', ',' || $9 || ','
    ) > 0)
GROUP BY hour
ORDER BY hour
