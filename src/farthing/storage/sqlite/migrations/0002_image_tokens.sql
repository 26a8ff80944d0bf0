-- Image tokens have prices of their own, up to twelve times those of text. What was kept before counted none.
ALTER TABLE attempts ADD COLUMN input_image_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN output_image_tokens INTEGER NOT NULL DEFAULT 0;
