"""Model packages from weights that others trained."""


class ImportRefused(Exception):
    """Why no package was made, in one sentence for the person who asked for it."""
