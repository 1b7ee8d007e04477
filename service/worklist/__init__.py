"""Studies to be read, in the order in which they should be read."""
