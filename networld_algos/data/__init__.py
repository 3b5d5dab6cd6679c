"""Datasets in memory: episodes, batches cut from them, neighbours and returns."""
