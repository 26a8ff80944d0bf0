-- How many attempts of a provider began lately, counted up to :most.
SELECT count(*) FROM (SELECT 1 FROM attempts WHERE started_at_us >= :since AND provider = :provider LIMIT :most)
