"""Make documents: rows that a program verified against the text they came from."""
