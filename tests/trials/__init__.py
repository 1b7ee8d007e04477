"""Trials of reliability: what is attacked or broken on purpose, and the figure that must come out of it."""
