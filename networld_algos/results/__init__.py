"""Results of a suite: rows, failures, commands, and statistics of rows."""
