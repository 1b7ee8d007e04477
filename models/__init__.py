"""Model packages, and the thin code that opens one."""
