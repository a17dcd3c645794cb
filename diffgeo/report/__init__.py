"""Report of a run from its results alone: verdicts, figures, and a page with both that can be explored."""

from diffgeo.report.page import CLAIMS, FIGURES, PAGE, Report, judge, load, report, write

__all__ = ["CLAIMS", "FIGURES", "PAGE", "Report", "judge", "load", "report", "write"]
