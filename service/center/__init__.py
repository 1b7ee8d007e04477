"""The center's room: what became of its studies, in plain words, and its reports."""
