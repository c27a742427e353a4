"""Reports of runs: one self-contained HTML page, and its figures as PNG files."""

from layermilp.report.page import write_report
from layermilp.report.reported import Judged, Reported

__all__ = ["Judged", "Reported", "write_report"]
