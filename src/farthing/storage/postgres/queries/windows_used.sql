-- The windows of a rule that are used most, with what is leased beside and when nothing of it counts any more.
SELECT
    window_id,
    sum(used)::bigint,
    sum(held)::bigint,
    max(leaves_us) FILTER (WHERE used > 0 AND slides)
FROM (
    SELECT window_id, amount AS used, 0 AS held, leaves_us, sub_window > 0 AS slides
    FROM window_counts
    WHERE window_id >= $1 AND window_id < $2 AND leaves_us > $3
    UNION ALL
    SELECT window_id, 0, amount, 0, FALSE
    FROM window_leases
    WHERE window_id >= $1 AND window_id < $2 AND until_us > $3
) AS counted
GROUP BY window_id
HAVING sum(used) + sum(held) > 0
ORDER BY sum(used) + sum(held) DESC, window_id
LIMIT $4
