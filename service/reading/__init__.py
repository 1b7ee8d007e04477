"""One case before one reader: what he is shown, his first impression, his verdicts."""
