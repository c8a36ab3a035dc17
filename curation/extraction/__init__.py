"""The main text of web pages."""
