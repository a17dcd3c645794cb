"""Check types: no error in the packages of `STRICT`, no more than `.ci/types_ratchet` in the rest.

python .ci/types.py

Prints every error, and a line per rule that is not kept; exit status 1 if there is any. The ratchet is a single number.
It only falls: with fewer errors, write the smaller number.
"""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
RATCHET = REPOSITORY / ".ci/types_ratchet"
STRICT = ("settings", "host", "data", "results", "claims", "training", "model", "run", "api")
"""Packages of diffgeo without a type error; files of `api` and `model` are checked in mode `strict`, as their first
lines ask."""

MAX_IGNORES = 20
"""Ignored errors in those packages, at most."""

IGNORE = re.compile(r"#\s*(?:pyright|type):\s*ignore")
EXPLAINED = re.compile(r"# pyright: ignore\[\w+(?:, \w+)*\] +\S.*")
"""An ignore with its rule, followed by its reason."""


def main() -> int:
    """Run basedpyright over the repository and compare; return the exit status."""
    command = ["basedpyright", "--outputjson", "--project", "pyproject.toml", "--pythonpath", sys.executable]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    if run.returncode > 1:  # 1 is "there are errors"
        print(run.stdout + run.stderr, file=sys.stderr)
        return run.returncode
    errors = [entry for entry in json.loads(run.stdout)["generalDiagnostics"] if entry["severity"] == "error"]
    counts: Counter[str] = Counter()
    for entry in errors:
        path = Path(entry["file"]).relative_to(REPOSITORY)
        counts["/".join(path.parts[:2])] += 1
        line, message = entry["range"]["start"]["line"] + 1, entry["message"].partition("\n")[0]
        print(f"{path}:{line}: {message} ({entry.get('rule', 'syntax')})")

    strict = [f"diffgeo/{package}" for package in STRICT]
    wrong = [f"{name}: {counts[name]} errors, at most 0" for name in strict if counts[name]]
    rest = sum(count for name, count in counts.items() if name not in strict)
    allowed = int(RATCHET.read_text())
    if rest > allowed:
        wrong.append(f"the rest: {rest} errors, at most {allowed}")
    elif rest < allowed:
        print(f"the rest: {rest} errors, at most {allowed}: write {rest} to {RATCHET.relative_to(REPOSITORY)}")

    ignores = [
        (path.relative_to(REPOSITORY), number, line)
        for name in strict
        for path in sorted((REPOSITORY / name).rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if IGNORE.search(line)
    ]
    wrong += [
        f"{path}:{number}: an ignore names its rule and its reason, as in `# pyright: ignore[reportCallIssue] (why)`"
        for path, number, line in ignores
        if not EXPLAINED.search(line)
    ]
    if len(ignores) > MAX_IGNORES:
        wrong.append(f"{len(ignores)} ignores in {', '.join(STRICT)}, at most {MAX_IGNORES}")
    strict_errors = len(errors) - rest
    print(f"types: {strict_errors} errors and {len(ignores)} ignores in {', '.join(STRICT)}; {rest} errors in the rest")
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
