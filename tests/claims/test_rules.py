"""Digests of claims' rules: what changes them, what does not, and what a verdict says of a run of another rule."""

import functools
import importlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from diffgeo import claims, report
from diffgeo.claims import Claim, rules
from diffgeo.declared import experiments
from diffgeo.errors import UserError
from diffgeo.report import sections
from diffgeo.run import Run

GALLERY = Path("experiments/gallery")

MODULE = '''
"""Rules of our own."""
from diffgeo.claims import compare

LIMIT = 0.5


def least():
    """Say how much."""
    return LIMIT  # a limit


def learned(results, times=1):
    """(z) Models learn."""
    return [compare("last accuracy", results.accuracy.isel(step=-1) * times, lower=least())]
'''


def rule(folder: Path, text: str, statement: str = "models learn", **arguments) -> str:
    """Return the digest of a claim whose test is `learned` of a module of this text."""
    path = folder / f"own_{len(list(folder.iterdir()))}.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("own_rules", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["own_rules"] = module
    spec.loader.exec_module(module)
    test = functools.partial(module.learned, **arguments) if arguments else module.learned
    return Claim("z", statement, "our own", test, "more seeds").rule


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("lower=least()", "upper=least()"),
        ("LIMIT = 0.5", "LIMIT = 0.6"),
        ("return LIMIT ", "return LIMIT + 0.1 "),
    ],
)
def test_a_change_of_test_number_or_helper_changes_it(tmp_path, old, new):
    assert rule(tmp_path, MODULE) != rule(tmp_path, MODULE.replace(old, new))


def test_a_helper_in_another_module_of_its_package_is_part_of_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "own_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "helpers.py").write_text("def least():\n    return 0.5\n")
    (package / "declared.py").write_text(
        "from .helpers import least\n\n\ndef learned(results):\n    return [least()]\n"
    )
    declared = importlib.import_module("own_package.declared")
    assert "own_package.helpers.least: def least():\n    return 0.5" in list(rules._parts(declared.learned))


def test_so_do_statement_and_arguments(tmp_path):
    plain = rule(tmp_path, MODULE)
    others = {
        rule(tmp_path, MODULE, "models learn well"),
        rule(tmp_path, MODULE, times=2),
        rule(tmp_path, MODULE, times=3),
    }
    assert len(others | {plain}) == 4


def test_docstrings_and_what_it_does_not_use_do_not(tmp_path):
    other = MODULE.replace("Say how much", "Say").replace("Models learn", "They do") + "\n\nOTHER = 1\n"
    assert rule(tmp_path, MODULE) == rule(tmp_path, other)


def test_what_decides_by_comparisons_is_part_of_it(monkeypatch):
    claim = experiments.find("p1_fig4").claims[1]
    before = claim.rule
    monkeypatch.setattr(rules, "_read", rules._read.__wrapped__)
    text = rules._undocumented

    def changed(source, tree):
        return text(source, tree).replace("one seed has no interval", "changed")

    monkeypatch.setattr(rules, "_undocumented", changed)
    assert claim.rule != before


def test_every_claim_has_its_own_and_another_process_the_same():
    found = {
        f"{name} {claim.name}": claim.rule for name in experiments.names() for claim in experiments.find(name).claims
    }
    assert len(set(found.values())) == len(found) - 1  # (b) is the same test twice
    code = (
        "import json; from diffgeo.declared import experiments; print(json.dumps({f'{n} {c.name}': c.rule "
        "for n in experiments.names() for c in experiments.find(n).claims}))"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(other.stdout) == found


def test_a_new_run_stores_them_and_no_verdict_is_younger():
    experiment = experiments.find("p1_fig4")
    old, _ = report.load(GALLERY / "p1_fig4_first.zip")
    new = old.assign_attrs(Run.of(experiment, "laptop").attributes)
    assert not any(claims.judge(claim, new).younger for claim in experiment.claims)
    verdicts = [claims.judge(claim, old) for claim in experiment.claims]
    assert all(verdict.younger for verdict in verdicts)
    assert claims.table(verdicts).endswith(f"{claims.YOUNGER}: (b), (c), (c, as read)")
    of_none = old.copy()
    del of_none.attrs["experiment"]
    assert not any(claims.judge(claim, of_none).younger for claim in experiment.claims)  # of no run


def test_a_page_says_that_a_rule_is_younger():
    old, _ = report.load(GALLERY / "p1_fig4_first.zip")
    verdict = claims.judge(experiments.find("p1_fig4").claims[1], old)
    assert claims.YOUNGER.capitalize() in sections.claim(verdict)
    assert claims.YOUNGER.capitalize() not in sections.claim(verdict._replace(younger=False))


@pytest.mark.parametrize("stored", ["[]", "{", "3"])
def test_an_attribute_that_is_none_of_ours_is_refused(stored):
    claim = experiments.find("p1_fig4").claims[0]
    with pytest.raises(UserError, match="not JSON of claims"):
        rules.is_younger(claim, {"experiment": "p1_fig4", rules.ATTRIBUTE: stored})


def test_joined_runs_have_the_rules_that_all_of_them_started_under():
    one = {rules.ATTRIBUTE: json.dumps({"a": "1", "b": "2", "c": "3"})}
    other = {rules.ATTRIBUTE: json.dumps({"a": "1", "b": "3"})}
    assert json.loads(rules.shared([one, other])[rules.ATTRIBUTE]) == {"a": "1"}
    assert rules.shared([one]) == one
    assert json.loads(rules.shared([one, {}])[rules.ATTRIBUTE]) == {}


class Callable:
    def __call__(self, results):
        return []


def test_tests_without_a_text_of_their_own_have_a_rule_too():
    made = {}
    exec("def typed(results):\n    return []", made)
    tests = [
        lambda results: [],
        made["typed"],
        list,
        Callable(),
        functools.partial(lambda results, limit: [], limit=1),
    ]
    found = [Claim("z", "models learn", "our own", test, "more seeds").rule for test in tests]
    assert {len(one) for one in found} == {16}
    assert len(set(found)) == len(found)
