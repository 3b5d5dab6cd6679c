"""Reading datasets: sizes, metadata and wrappers are checked, and so is every value."""
