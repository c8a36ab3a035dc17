"""Books: chapters in order, what a printed page adds to a text and takes from it, and how odd a text is to a language model."""
