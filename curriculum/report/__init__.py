"""The report on a build: one self-contained HTML page that opens offline. `write_report` is all a caller needs."""

from curriculum.report.data import ReportError
from curriculum.report.page import write_report

__all__ = ["ReportError", "write_report"]
