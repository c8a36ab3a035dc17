"""A second proof of stored rows, by code that shares none with the generators: standard library, sympy, and the sandbox."""
