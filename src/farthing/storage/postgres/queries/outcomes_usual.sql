-- How attempts end, by provider, over whole hours.
SELECT provider, sum(attempts), sum(provider_failures)
FROM rollups
WHERE hour >= $1 AND hour < $2
GROUP BY provider
ORDER BY provider
