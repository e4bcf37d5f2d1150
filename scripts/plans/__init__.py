"""Scripted evaluation: one plan, many runs, many conditions, one table."""
