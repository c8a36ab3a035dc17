"""Personal data and secrets, replaced by placeholders."""
