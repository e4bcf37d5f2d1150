"""Seeing a brain: what it does while it acts, as arrays, pictures and a page."""
