"""Report of a run from its results alone: verdicts, figures, and a page with both."""

from diffgeo.report.page import CLAIMS, FIGURES, PAGE, PROVENANCE, STYLE, Report, judge, load, report, write, write_page

__all__ = [
    "CLAIMS",
    "FIGURES",
    "PAGE",
    "PROVENANCE",
    "STYLE",
    "Report",
    "judge",
    "load",
    "report",
    "write",
    "write_page",
]
