"""Print a verdict for each claim of runs, draw their figures, and write DIR/report.html with both.

    python -m launch.report --workdir=runs/p1_fig4,runs/p2_fig4
    python -m launch.report --workdir=runs/p1_fig4 --summary=p1_fig4.zip     a small file of everything needed
    python -m launch.report --workdir=p1_fig4.zip                            the same, from that file alone

Needs the results only: no checkpoint, no accelerator, no JAX.
"""

from absl import flags

from launch import program

WORKDIR = flags.DEFINE_list("workdir", None, "Folders of runs, or summary files.", required=True)
PDF = flags.DEFINE_boolean("pdf", False, "Write the figures as PDF, too.")
SUMMARY = flags.DEFINE_string("summary", None, "Also write a summary of the one run to this file, FILE.zip.")


def main() -> None:
    """Report every run."""
    import experiments
    from diffgeo import report
    from diffgeo.errors import UserError
    from diffgeo.report import summary

    if SUMMARY.value is not None and len(WORKDIR.value) > 1:
        raise UserError(f"--summary={SUMMARY.value} holds one run: give one --workdir, not {len(WORKDIR.value)}")
    loaded = [(source, *report.load(source)) for source in WORKDIR.value]
    for source, results, folder in loaded:
        name = results.attrs.get("experiment")
        if name is None:
            raise UserError(f"the results in {source!r} do not say which experiment they are of")
        report.report(experiments.find(name), results, folder, PDF.value)
        if SUMMARY.value is not None:
            path = summary.write(results, SUMMARY.value)
            print(f"wrote {path}, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    program.run(main)
