"""Print a verdict for each claim of runs, draw their figures, and write DIR/report.html with both.

    python -m launch.report --workdir=runs/p1_fig4,runs/p2_fig4
    python -m launch.report --workdir=runs/p1_fig4 --summary=p1_fig4.zip     a small file of everything needed
    python -m launch.report --workdir=p1_fig4.zip                            the same, from that file alone
    python -m launch.report --workdir=runs/p1_fig4 --csv=p1_fig4.csv         its numbers, a row a member and step

Of several runs, claims that hold are corrected together (Holm): give all of them at once.

Needs the results only: no checkpoint, no accelerator, no JAX.
"""

from absl import flags

from launch import program

WORKDIR = flags.DEFINE_list("workdir", None, "Folders of runs, or summary files.", required=True)
EXPERIMENT = flags.DEFINE_list(
    "experiment", [], "The files that made the runs, if they are your own: " + program.OWN_EXPERIMENT
)
PDF = flags.DEFINE_boolean("pdf", False, "Write the figures as PDF, too.")
CSV = flags.DEFINE_string("csv", None, "Also write the numbers of the one run to this file, a row a member and step.")
SUMMARY = flags.DEFINE_string("summary", None, "Also write a summary of the one run to this file, FILE.zip.")


def main() -> None:
    """Report every run."""
    import experiments
    from diffgeo import report
    from diffgeo.claims import family
    from diffgeo.errors import UserError
    from diffgeo.report import rows, summary

    for name, value in (("summary", SUMMARY.value), ("csv", CSV.value)):
        if value is not None and len(WORKDIR.value) > 1:
            raise UserError(f"--{name}={value} holds one run: give one --workdir, not {len(WORKDIR.value)}")
    loaded = [(source, *report.load(source)) for source in WORKDIR.value]
    verdicts = {}
    for source, results, folder in loaded:
        name = results.attrs.get("experiment")
        if name is None:
            raise UserError(f"the results in {source!r} do not say which experiment they are of")
        declared = experiments.of_run(results.attrs, source, EXPERIMENT.value, program.ALLOW_CHANGED.value)
        written = report.report(declared, results, folder, PDF.value)
        verdicts |= {(name, verdict.claim.name): verdict for verdict in written.verdicts}
        if SUMMARY.value is not None:
            path = summary.write(results, SUMMARY.value)
            print(f"wrote {path}, {path.stat().st_size:,} bytes")
        if CSV.value is not None:
            print(f"wrote {rows.write_csv(results, CSV.value)}")
    if corrected := family.table(verdicts):
        print(corrected)


if __name__ == "__main__":
    program.run(main)
