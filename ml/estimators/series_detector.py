"""Scores each moment of a series against its own past."""


class SeriesDetector:
    """placeholder during development"""
