"""Software tasks: real packages with a real test suite, a bug put in by program, and a tool loop that finds it."""
