"""List every experiment: its figure, and per preset the members, steps, evaluations and predicted cost. Runs nothing.

python -m launch.list [--json | --markdown | --figures | --claims | --power] [--experiment=NAME,path/to/file.py]

--markdown prints the README's table: figure, command, time and expected outcome. --figures prints where each panel of
the papers is: command, files, claims, or that it is a schematic. --claims prints what each claim quotes, how it is
tested, its baseline and what would refute it: docs/claims.md. --power prints how many seeds each claim needs there.
"""

import json
import os
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from absl import flags

from diffgeo.claims import catalog
from diffgeo.declared import experiments
from diffgeo.errors import UserError
from diffgeo.experiment import Experiment

from . import program

if TYPE_CHECKING:
    from experiments import Panel

EXPERIMENT = program.define_paths("experiment", "Experiment to list, a name or file. Default: the built-in ones.")
JSON = flags.DEFINE_boolean("json", False, "Print JSON.")
MARKDOWN = flags.DEFINE_boolean("markdown", False, "Print the README's table.")
FIGURES = flags.DEFINE_boolean("figures", False, "Print the map from the papers' panels to commands, files and claims.")

CLAIMS = flags.DEFINE_boolean("claims", False, "Print the claims as Markdown: quote, statistic, baseline, refutation.")
POWER = flags.DEFINE_boolean("power", False, "Print the seeds that each claim needs at `laptop`, as Markdown.")

QUICKSTART = "quickstart"
"""Experiment with a program named after it."""
FIRST = """\
Try first: python -m launch.quickstart, 4 minutes on two cores. Then an experiment below at its preset `laptop`, as
python -m launch.train --experiment=p1_fig4 --preset=laptop --workdir=runs/p1_fig4"""


def main() -> None:
    """Print the list."""
    os.environ["JAX_PLATFORMS"] = "cpu"  # nothing runs: an accelerator is left to whoever uses it
    from diffgeo.costs import by_hand
    from diffgeo.costs.storage import COMPRESSED
    from diffgeo.host import runtime

    if JSON.value + MARKDOWN.value + FIGURES.value + CLAIMS.value + POWER.value > 1:
        raise UserError("--json, --markdown, --figures, --claims and --power are forms of the list: give one of them")
    chosen = {one.name: one for one in map(experiments.resolve, EXPERIMENT() or experiments.names())}
    if CLAIMS.value:
        print(catalog.markdown({name: declared.claims for name, declared in chosen.items()}))
        return
    if POWER.value:
        print(experiments.power_table(set(chosen)))
        return
    if FIGURES.value:
        print(figure_map(experiments.PANELS, experiments.find))
        return
    if MARKDOWN.value:
        print(markdown(list(chosen.values())))
        return
    runtime.start()
    predicted = {
        "laptop": ", about {two_core_minutes:.0f} minutes on two cores",
        "paper": ", about {v5e_chip_hours:,.0f} hours of one TPU v5e chip",
    }
    listed = {}
    for name, declared in chosen.items():
        presets = {
            preset: by_hand.describe(settings, declared.trained, declared.analyses)
            for preset, settings in declared.presets.items()
        }
        listed[name] = {"figure": declared.figure, "claim": declared.claim, "presets": presets}
    if JSON.value:
        print(json.dumps(listed, indent=2))
        return
    if not EXPERIMENT():
        print(program.worded(FIRST) + "\n")
    for name, entry in listed.items():
        print(f"{name}: {entry['figure']}")
        for preset, facts in entry["presets"].items():
            if not facts["members"]:
                print(f"  {preset:<11}   no models: computed without training")
                continue
            axes = " x ".join(f"{count} {axis}" for axis, count in facts["axes"].items())
            pflop = facts["training_pflop"] + facts["sampling_pflop"]
            print(
                f"  {preset:<11} {facts['members']:>4} models ({axes}), {facts['steps']:,} steps of {facts['batch']}, "
                f"{facts['evaluations']} evaluations, {pflop:.3g} PFLOP "
                f"({facts['common_pflop'] / pflop:.0%} at common labels), "
                f"{COMPRESSED * facts['checkpoints_bytes'] / 1e9:.3g} GB of checkpoints "
                f"(--keep={facts['keep']})" + predicted.get(preset, "").format(**facts)
            )


def markdown(declared: list[Experiment]) -> str:
    """Return a Markdown table of experiments: the quickstart, those that train nothing, then the papers' figures."""
    rows = ["| figure | command | time on 2 CPU cores | expect |", "|---|---|---|---|"]
    for experiment in sorted(declared, key=_order):
        figure = experiment.figure.partition(":")[0]
        rows.append(f"| {figure} | `{_command(experiment)}` | {experiment.time} | {experiment.expect} |")
    return "\n".join(rows)


def figure_map(panels: Sequence["Panel"], find: Callable[[str], Experiment]) -> str:
    """Return a Markdown table of the papers' panels: the files that show each, their commands, and its claims."""
    rows = ["| panel | file | command | claim |", "|---|---|---|---|"]
    for panel in panels:
        files = [f"`runs/{name}/figures/{plot}.png`" for name, plot in panel.plots]
        commands = dict.fromkeys(f"`{_command(find(name))}`" for name, _ in panel.plots)
        claims = ", ".join(f"({letter})" for letter in panel.claims)
        shown = ", ".join(files) + (f" ({panel.note})" if files and panel.note else "") or panel.note
        rows.append(f"| {panel.paper} Fig. {panel.figure} | {shown} | {', '.join(commands)} | {claims} |")
    return "\n".join(rows)


def _command(experiment: Experiment) -> str:
    """Return the shell command whose time and outcome are declared."""
    if experiment.name == QUICKSTART:
        return f"python -m launch.{QUICKSTART}"
    preset = "laptop" if experiment.trained else "paper"
    return f"python -m launch.train --experiment={experiment.name} --preset={preset} --workdir=runs/{experiment.name}"


def _order(experiment: Experiment) -> tuple:
    """Return a sorting key that has p2_fig2 before p2_fig11."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", experiment.name))
    return experiment.name != QUICKSTART, experiment.trained, numbers, experiment.name


if __name__ == "__main__":
    program.run(main)
