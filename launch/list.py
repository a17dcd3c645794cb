"""List every experiment: its figure, and per preset the members, steps, evaluations and predicted cost. Runs nothing.

python -m launch.list [--json]
"""

import json

from absl import flags

from launch import program

JSON = flags.DEFINE_boolean("json", False, "Print JSON.")


def main() -> None:
    """Print the list."""
    import experiments
    from diffgeo.costs import by_hand

    program.start_jax()
    predicted = {
        "laptop": ", about {two_core_minutes:.0f} minutes on two cores",
        "paper": ", about {v5e_chip_hours:,.0f} hours of one TPU v5e chip",
    }
    listed = {}
    for name in experiments.names():
        declared = experiments.find(name)
        presets = {
            preset: by_hand.describe(settings, declared.trained, declared.analyses)
            for preset, settings in declared.presets.items()
        }
        listed[name] = {"figure": declared.figure, "claim": declared.claim, "presets": presets}
    if JSON.value:
        print(json.dumps(listed, indent=2))
        return
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
                f"{facts['evaluations']} evaluations, {pflop:.3g} PFLOP, "
                f"{facts['checkpoints_bytes'] / 1e9:.3g} GB of checkpoints" + predicted.get(preset, "").format(**facts)
            )


if __name__ == "__main__":
    program.run(main)
