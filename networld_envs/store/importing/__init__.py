"""Turn logs of a network into a dataset: read them, and check whether they fit together."""
