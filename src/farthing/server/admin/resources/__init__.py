"""What is administered, a file for each: its types, its handlers, and its routes."""
