-- How attempts end, by provider, over whole hours.
SELECT provider, sum(attempts), sum(failed)
FROM hourly_totals
WHERE hour >= :first AND hour < :last
GROUP BY provider
ORDER BY provider
