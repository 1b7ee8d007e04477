"""The service: receive, verify, store, preprocess, infer, publish, worklist."""
