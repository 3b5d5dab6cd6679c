"""Datasets in the forms that other libraries and programs read, straight from arrays."""
