"""Source files: what is wrong with one, and how good it is."""
