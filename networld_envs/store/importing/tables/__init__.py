"""Logs as tables, CSV or Parquet: their mapping, how they are read, and their episodes."""
