"""What a run found, from its results alone: verdicts, figures, and both on one page."""

from diffgeo.report.page import CLAIMS, FIGURES, PAGE, PROVENANCE, STYLE, Report, load, report, write_page

__all__ = ["CLAIMS", "FIGURES", "PAGE", "PROVENANCE", "STYLE", "Report", "load", "report", "write_page"]
