-- Tell that lines before this may be gone.
UPDATE retention SET kept_from_us = $1 WHERE kept_from_us < $1
