"""Receive, verify and store: three doors, one intake."""
