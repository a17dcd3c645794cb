"""Print a verdict for each claim of runs, draw their figures, and write DIR/report.html, a page to explore both.

    python -m launch.report --workdir=runs/p1_fig4,runs/p2_fig4
    python -m launch.report --workdir=runs/p1_fig4 --summary=p1_fig4.zip     a small file of everything needed
    python -m launch.report --workdir=p1_fig4.zip                            the same, from that file alone
    python -m launch.report --workdir=runs/p1_fig4 --csv=p1_fig4.csv         its numbers, a row a member and step
    python -m launch.report --workdir=A,B,C --gallery=all.html               one page of several runs
    python -m launch.report --workdir=/theirs/p1_fig4 --out=p1_fig4          of a run whose folder you may only read
    python -m launch.report --pages=docs/findings.md                         the tables of a page, from its summaries

Of several runs, claims that hold are corrected together (Holm): give all of them at once.

Needs the results only: no checkpoint, no accelerator, no JAX. The page's representation turns if plotly is installed
(pip install 'diffgeo[report]').
"""

import functools

from absl import flags

from . import program

WORKDIR = program.define_paths("workdir", "Folder of a run, or summary file.")
EXPERIMENT = program.define_paths(
    "experiment", "The file that made a run, if it is your own: " + program.OWN_EXPERIMENT
)
OUT = flags.DEFINE_string("out", None, "Folder for the report of the one run. Default: that of the run.")
PDF = flags.DEFINE_boolean("pdf", False, "Write the figures as PDF, too.")
CSV = flags.DEFINE_string("csv", None, "Also write the numbers of the one run to this file, a row a member and step.")
SUMMARY = flags.DEFINE_string("summary", None, "Also write a summary of the one run to this file, FILE.zip.")
GALLERY = flags.DEFINE_string("gallery", None, "Also write one page of all runs to this file, FILE.html.")
FOREST = flags.DEFINE_string("forest", None, "Also draw the verdicts of all runs into one picture, FILE.png.")
PAGES = program.define_paths(
    "pages", "Markdown page whose tables are written anew from the summaries that they name, see docs/report.md."
)


def main() -> None:
    """Report every run."""
    from diffgeo import report
    from diffgeo.claims import family
    from diffgeo.declared import experiments
    from diffgeo.errors import UserError
    from diffgeo.host import disk
    from diffgeo.plots import style
    from diffgeo.report import forest, markdown, pages, rows, summary

    sources, texts = WORKDIR(), PAGES()
    if not sources and not texts:
        raise UserError("there is nothing to report: give --workdir, a run or a summary, or --pages")
    if FOREST.value is not None and not FOREST.value.endswith((".png", ".pdf")):
        raise UserError(f"--forest={FOREST.value} is a picture: its name must end in .png or .pdf")
    for path in texts:
        find = functools.partial(experiments.of_run, given=EXPERIMENT(), allow_changed=program.ALLOW_CHANGED.value)
        print(f"wrote {markdown.write_page(path, find)}")
    for name, value in (("summary", SUMMARY.value), ("csv", CSV.value), ("out", OUT.value)):
        if value is not None and len(sources) > 1:
            raise UserError(f"--{name}={value} holds one run: give one --workdir, not {len(sources)}")
    loaded = [(source, *report.load(source)) for source in sources]
    verdicts, by_run, refused, written = {}, {}, [], []
    for source, results, folder in loaded:
        name = results.attrs.get("experiment")
        if name is None:
            raise UserError(f"the results in {source!r} do not say which experiment they are of")
        declared = experiments.of_run(results.attrs, source, EXPERIMENT(), program.ALLOW_CHANGED.value)
        judged = report.judge(declared, results)
        verdicts |= {(name, verdict.claim.name): verdict for verdict in judged}
        by_run[folder.name] = judged
        try:
            out = folder if OUT.value is None else disk.local_path(OUT.value)
            written.append(report.write(declared, results, judged, out, PDF.value))
        except UserError as error:  # the other runs' verdicts are printed all the same
            refused.append(str(error))
        if SUMMARY.value is not None:
            path = summary.write(results, SUMMARY.value)
            print(f"wrote {path}, {path.stat().st_size:,} bytes")
        if CSV.value is not None:
            print(f"wrote {rows.write_csv(results, CSV.value)}")
    if GALLERY.value is not None and written:
        print(f"wrote {pages.write_gallery(GALLERY.value, written)}")
    if FOREST.value is not None:
        print(f"wrote {style.save(forest.verdict_forest(by_run), FOREST.value)}")
    if corrected := family.table(verdicts):
        print(corrected)
    if refused:
        raise UserError(f"{refused[0]}; --out=FOLDER writes the report of one run elsewhere")


if __name__ == "__main__":
    program.run(main, [program.ALLOW_CHANGED])
