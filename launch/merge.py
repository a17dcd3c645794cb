"""Join finished runs of one experiment, as those of array jobs, into a new folder, and judge its claims again.

    python -m launch.merge --workdirs=runs/seed0,runs/seed1 --out=runs/both
    python -m launch.report --workdir=runs/both

Results are copied; checkpoints are linked where they lie, or copied by --copy. Needs no accelerator.
"""

from absl import flags

from . import program

WORKDIRS = program.define_paths("workdirs", "Folder of a run.", required=True)
OUT = flags.DEFINE_string("out", None, "Folder of the joined run, a new one.", required=True)
COPY = flags.DEFINE_boolean("copy", False, "Copy checkpoints instead of linking them.")
EXPERIMENT = program.define_paths(
    "experiment", "The file that made the runs, if it is your own: " + program.OWN_EXPERIMENT
)


def main() -> None:
    """Join and report."""
    from diffgeo import growth, report
    from diffgeo.declared import experiments
    from diffgeo.host import disk, runtime
    from diffgeo.results.workdir import read_run

    runtime.prepare()
    folders = WORKDIRS()
    where = folders[0]
    # before anything is written: the claims are judged by it
    declared = experiments.of_run(read_run(where)[1], where, EXPERIMENT(), program.ALLOW_CHANGED.value)
    joined = growth.merge(folders, OUT.value, COPY.value, runtime.provenance())
    report.report(declared, joined.load(), disk.local_path(OUT.value))


if __name__ == "__main__":
    program.run(main, [program.ALLOW_CHANGED])
