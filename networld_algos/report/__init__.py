"""Reports: figures, tables and one page from result rows; no torch, no environment."""
