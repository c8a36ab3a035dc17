"""Reasoning problems with answers that a program proves: code that is run, tables, calculations, questions that texts ask and answer."""
