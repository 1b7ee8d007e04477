"""The pages of the reading room: TypeScript sources, and how they are built with the Python package."""
