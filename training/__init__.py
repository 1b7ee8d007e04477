"""Train, evaluate and export model packages; meets the service only in files."""
