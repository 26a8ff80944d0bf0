-- Which installation these tables are, and their version.
SELECT identity, version FROM farthing
