"""A folder for PYTHONPATH: every process that Python starts with it reports what it writes outside its folder."""
