"""The owner's page: what each model is worth, and what to do today, on one HTML page."""

from ml.report.page import write_report

__all__ = ["write_report"]
