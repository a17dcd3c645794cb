"""The programs by one command: diffgeo NAME --flag=value."""

import ast
import runpy
import sys
from pathlib import Path

import diffgeo
from diffgeo.errors import UserError, require_choice

from . import program

NAMES = ("quickstart", "list", "train", "watch", "analyze", "report", "verify", "merge", "reproduce", "plan", "bench")
"""In the order in which a newcomer meets them."""


def main() -> None:
    """Run the program that the first argument names, as `python -m launch.NAME` does."""
    program.by_one_command()
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in program.HELP or name == "help":
        print(_help())
        return
    if name == "--version":
        print(f"diffgeo {diffgeo.__version__}")
        return
    try:
        require_choice("command", name, NAMES)
    except UserError as error:
        program.fail(str(error))
    del sys.argv[1]
    runpy.run_module(f"{__package__}.{name}", run_name="__main__", alter_sys=True)


def _help() -> str:
    width = max(map(len, NAMES))
    programs = [f"  {name:<{width}}  {_first_sentence(name)}" for name in NAMES]
    return "\n".join(["diffgeo NAME --flag=value; diffgeo NAME --help says more of each.", "", *programs])


def _first_sentence(name: str) -> str:
    source = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    return (
        " ".join((ast.get_docstring(ast.parse(source)) or "").split("\n\n")[0].split()).partition(". ")[0].rstrip(".")
    )


if __name__ == "__main__":
    main()
