-- The windows of a rule that are used most, with what is leased beside and when nothing of it counts any more.
SELECT window_id, sum(used), sum(held), max(CASE WHEN used > 0 AND slides THEN leaves_us END)
FROM (
    SELECT window_id, amount AS used, 0 AS held, leaves_us, sub_window > 0 AS slides
    FROM window_counts
    WHERE window_id >= :first AND window_id < :last AND leaves_us > :now
    UNION ALL
    SELECT window_id, 0, amount, 0, 0
    FROM window_leases
    WHERE window_id >= :first AND window_id < :last AND until_us > :now
)
GROUP BY window_id
HAVING sum(used) + sum(held) > 0
ORDER BY sum(used) + sum(held) DESC, window_id
LIMIT :at_most
