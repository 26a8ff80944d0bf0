-- How attempts end, by provider, over whole hours.
SELECT provider, sum(attempts), sum(failed)
FROM hourly_totals
WHERE hour >= $1 AND hour < $2
GROUP BY provider
ORDER BY provider
