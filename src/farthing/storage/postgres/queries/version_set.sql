-- The version that the migrations led to.
UPDATE farthing SET version = $1
