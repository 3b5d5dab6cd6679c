"""What a suite leaves behind: rows, failures, commands, and their statistics."""
