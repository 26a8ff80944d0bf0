"""What the operator sees in a browser, behind the admin link."""
