"""A second proof of stored rows, by code that shares none with the generators: standard library, sympy, fastjsonschema, and the sandbox.

What both need are what a row was made with: tantivy's analyser, the tools of `synth.tooluse.environments`, the sandbox itself.
"""
