"""Preprocess and infer: which releases apply to a study, and running them."""
