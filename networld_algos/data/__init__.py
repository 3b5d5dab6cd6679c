"""Datasets in memory: episodes, batches cut from them, neighbours, returns and random streams."""
