"""Documents said again: by program with the words of their source, or by a teacher whose words are checked against it."""
