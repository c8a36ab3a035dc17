"""Rules on the surface of a text, and the numbers they limit."""
