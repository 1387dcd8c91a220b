"""Bulk files: read row by row, answered in chunks, every row with an outcome."""
