-- Who spent most from an hour on; `history.py` puts in by what, and where the sums are read from.
SELECT {by} AS value
FROM {source}
GROUP BY value
HAVING value <> '' AND sum(cost_nanousd) + sum(held_nanousd) > 0
ORDER BY sum(cost_nanousd) + sum(held_nanousd) DESC, value
LIMIT :limit
