-- Why a router chose the model of a try, a line each; of other calls nothing is kept.
ALTER TABLE attempts ADD COLUMN reasons TEXT;
