"""Several real processes over loopback: they agree, write once, train to one process's numbers, and end together."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import diffgeo as dg
from diffgeo import results
from diffgeo.host import distributed
from diffgeo.results.checkpoint_files import read_member
from diffgeo.run.checkpoints import Checkpoints
from diffgeo.settings import Grid
from tests.support.own import OWN, write_own
from tests.support.programs import REPOSITORY, assert_refused, command, environment, free_port
from tests.support.runs import newest_arrays, newest_state

slow = pytest.mark.slow
ALONE = environment()
LOST = "error: another process of this run has died or cannot be reached: start all processes again"
FLAGS = [
    "--experiment=p1_fig4",
    "--preset=tiny",
    "--seeds=0,1,2,3",
    "--set=train.steps=60",
    "--set=train.log_every=20",
    "--set=evaluation.every_steps=20",
]


class Together:
    """Processes of one run, started together; each has two CPU devices and logs of its own."""

    def __init__(self, count: int, logs: Path, commands):
        logs.mkdir(parents=True, exist_ok=True)
        self.logs = [logs / f"{count}_{i}.log" for i in range(count)]
        own = environment(JAX_NUM_CPU_DEVICES="2")
        self.processes = []
        for given, log in zip(commands, self.logs, strict=True):
            with open(log, "w") as out:
                self.processes.append(subprocess.Popen(given, stdout=out, stderr=out, env=own, cwd=REPOSITORY))

    def wait(self, seconds: float) -> list[int]:
        """Return exit statuses; kill what is left when the time is over."""
        end = time.monotonic() + seconds
        try:
            return [process.wait(max(0.1, end - time.monotonic())) for process in self.processes]
        finally:
            for process in self.processes:
                if process.poll() is None:
                    process.kill()
                    process.wait()

    def said(self, i: int) -> str:
        """Return all that process i has said, but for lines of its transport's, which may be broken into each other."""
        lines = self.logs[i].read_text().split("\n")
        return "\n".join(line for line in lines if line and "[Gloo]" not in line and "peer ranks" not in line)

    def wait_for_state(self, folder: Path, step: int) -> None:
        """Wait until the run has saved its state at a step or later."""
        end = time.monotonic() + 900
        while newest_state(folder) < step and self.processes[0].poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        assert newest_state(folder) >= step, [self.said(i) for i in range(len(self.logs))]

    def kill(self, victim: int) -> None:
        """Kill one process; the others end within a minute, each with one sentence and a status of failure."""
        os.kill(self.processes[victim].pid, signal.SIGKILL)
        self.assert_others_end(victim)

    def assert_others_end(self, victim: int) -> None:
        statuses = self.wait(60)
        assert statuses[victim] == -signal.SIGKILL
        for i in set(range(len(statuses))) - {victim}:
            said = self.said(i)
            assert statuses[i] == distributed.FAILED, said
            assert said.count("error") == 1, said
            assert LOST in said
            if i > 0:  # process 0 shows its progress, too
                assert said.startswith(LOST)
                assert "\n" not in said, said


def scripts(count: int, folder: Path, code: str) -> Together:
    """Run `code` in so many processes that have joined each other, with `me` the process's number."""
    port = free_port()
    start = (
        "import sys, os, time; os.environ['TF_CPP_MIN_LOG_LEVEL'] = '4'\n"
        "from pathlib import Path; import numpy as np; from diffgeo.host import distributed; "
        f"me = int(sys.argv[1]); folder = Path({str(folder)!r}); "
        f"distributed.start('127.0.0.1:{port}', {count}, me, lost_after=10, start_within=60)\n"
    )
    return Together(count, folder / "logs", [[sys.executable, "-c", start + code, str(i)] for i in range(count)])


def training(count: int, folder: Path, lost_after: int = 300, flags=None) -> Together:
    """Run launch.train in so many processes, patient unless one is to be killed: machines that run tests may pause."""
    shared = [
        *(flags or FLAGS),
        f"--workdir={folder}",
        f"--coordinator=127.0.0.1:{free_port()}",
        f"--processes={count}",
    ]
    shared += [f"--lost_after={lost_after}", "--start_within=300"]
    commands = [command("train", *shared, f"--process={i}") for i in range(count)]
    return Together(count, folder.with_suffix(".logs"), commands)


def test_no_cluster_to_ask(launch, tmp_path):
    flags = ["--experiment=p1_fig4", "--preset=tiny", f"--workdir={tmp_path / 'run'}", "--distributed=on"]
    assert_refused(launch("train", *flags), "do not find each other", "--distributed=off")
    assert list(tmp_path.iterdir()) == []


ROWS = """
import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from diffgeo.run.checkpoints import Checkpoints
from diffgeo.training import fetch

sharding = NamedSharding(Mesh(np.array(jax.devices()), ("member",)), PartitionSpec("member"))
rows = np.arange(24_000.0, dtype=np.float32).reshape(8, 3_000)
target = {"a": jax.ShapeDtypeStruct((8, 3_000), np.float32, sharding=sharding)}

def assert_restored(step):
    with Checkpoints(folder / "run/wave") as store:
        assert store.params_steps == [1, 2]
        for shard in store.restore_params(target, step)["a"].addressable_shards:
            np.testing.assert_array_equal(shard.data, step * rows[shard.index])
        whole = store.restore_params({"a": np.zeros((8, 3_000), np.float32)}, step)["a"]
        np.testing.assert_array_equal(whole, step * rows)
"""


@pytest.mark.parametrize(("count", "then"), [(2, 4), pytest.param(4, 2, marks=slow)])
def test_processes_agree_and_save_and_others_restore(tmp_path, count, then):
    run = scripts(
        count,
        tmp_path,
        ROWS
        + """
from diffgeo.errors import UserError
from diffgeo.results import open_workdir

count = jax.process_count()
assert distributed.is_multiprocess() and distributed.is_coordinator() == (me == 0) and jax.device_count() == 2 * count
assert distributed.broadcast(lambda: {"by": me, "text": "\\u00fc"}) == {"by": 0, "text": "\\u00fc"}

def refuse():
    raise UserError(f"refused by {me}")

try:
    distributed.broadcast(refuse)
except UserError as error:
    assert str(error) == "refused by 0"
else:
    raise AssertionError
largest = distributed.all_max(15 * me)
assert largest() == 15 * (count - 1)
with open_workdir(folder / "run"):
    array = jax.make_array_from_callback((8, 3_000), sharding, lambda index: rows[index])
    np.testing.assert_array_equal(fetch(array), rows)
    for step in (1, 2):
        with Checkpoints(folder / "run/wave") as store:
            store.save_params(step, {"a": step * array})
            store.save_state(step, {"a": array, "b": 2 * array})
    assert_restored(2)
distributed.say(f"said by {me}")
if distributed.shutdown():
    time.sleep(1)
    assert distributed.broadcast(lambda: 5) == 5
    print("went on")
""",
    )
    assert run.wait(100) == [0] * count, [run.said(i) for i in range(count)]
    assert "said by 0" in run.said(0)
    assert "went on" in run.said(0)
    assert all("said by" not in run.said(i) for i in range(1, count))
    again = scripts(then, tmp_path, ROWS + "assert_restored(1); assert_restored(2)")
    assert again.wait(100) == [0] * then, [again.said(i) for i in range(then)]
    with Checkpoints(tmp_path / "run/wave") as store:  # in one process
        alone = store.restore_params({"a": np.zeros((8, 3_000), np.float32)}, 1)["a"]
    np.testing.assert_array_equal(alone, np.arange(24_000.0).reshape(8, 3_000))
    for index, row in enumerate(alone):  # whichever process saved it
        np.testing.assert_array_equal(read_member(tmp_path / "run/wave", index, 2)["a"], 2 * row)


STORED = """
import jax
from diffgeo import unet
from diffgeo.training import Placement, fetch
from tests.support import networks, stored

unet.from_program = networks.two_convolutions
members = stored.members(*range(4))
own, alone = (
    Placement(mapping=mapping).place(members, stored.tables(members), devices)
    for mapping, devices in (("sharded", jax.devices()), ("loop", jax.local_devices()[:1]))
)
for one in (own, alone):
    one.initialize()
    one.losses(one.train_steps(5))
held = [x for x in jax.live_arrays() if x.dtype == np.uint8]
assert sum(shard.data.nbytes for x in held for shard in x.addressable_shards) == 3 * stored.dataset().images.nbytes
for shared, other in zip(*(jax.tree.leaves(one.params()) for one in (own, alone)), strict=True):
    np.testing.assert_allclose(fetch(shared), other, rtol=0, atol=1e-6)
"""


def test_images_that_exist_lie_once_on_each_device_of_two_processes(tmp_path):
    run = scripts(2, tmp_path, STORED)
    assert run.wait(100) == [0, 0], [run.said(i) for i in range(2)]


@pytest.mark.parametrize(("count", "victim"), [(2, 0), (2, 1), pytest.param(4, 2, marks=slow)])
def test_when_one_is_killed_the_others_say_so_and_end(tmp_path, count, victim):
    waits = "time.sleep(90)" if victim == 1 else "[time.sleep(0.1) for _ in range(900)]"
    code = f"distributed.broadcast(lambda: 0)\nif me == {victim}: os.kill(os.getpid(), 9)\n{waits}"
    scripts(count, tmp_path, code).assert_others_end(victim)


def test_a_process_alone_gives_up(tmp_path):
    flags = ["--coordinator=127.0.0.1:9", "--processes=2", "--process=1", "--start_within=3", "--workdir=x"]
    done = subprocess.run(
        command("train", "--experiment=p1_fig4", "--preset=tiny", *flags),
        env=ALONE,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.strip().startswith("error: no 2 processes found each other at 127.0.0.1:9 within 3 s")
    assert "\n" not in done.stderr.strip()
    assert list(tmp_path.iterdir()) == []


# below, the network's step is compiled for several processes: minutes on two cores


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run in one process."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = subprocess.run(
        command("train", *FLAGS, f"--workdir={folder}"), env=ALONE, cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder


def assert_same_to_rounding(one: Path, other: Path) -> None:
    """Assert equal parameters and losses to rounding, and all but a few samples, whose read-out has thresholds."""
    ours, theirs = newest_arrays(one, "params"), newest_arrays(other, "params")
    assert ours.keys() == theirs.keys()
    for name in ours:
        if "in_proj" in name and "bias" in name:
            continue  # softmax does not see the keys' biases: their gradient is rounding alone
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-3, err_msg=name)
        assert np.mean(np.abs(ours[name] - theirs[name]) > 1e-4) < 1e-2, name
    a, b = results.open_results(one).load(), results.open_results(other).load()
    assert set(a.variables) == set(b.variables)
    np.testing.assert_allclose(a.loss.values, b.loss.values, rtol=1e-3)
    np.testing.assert_array_equal(a.label.values, b.label.values)
    assert np.mean(np.abs(a.samples.values.astype(int) - b.samples.values) > 2) < 0.01
    assert np.abs(a.accuracy.values - b.accuracy.values).max() <= 0.25
    assert np.mean(a.accuracy.values != b.accuracy.values) < 0.1


@slow
@pytest.mark.parametrize("count", [2, 4])
def test_several_processes_train_to_the_numbers_of_one(whole, tmp_path, launch, count):
    folder = tmp_path / "run"
    run = training(count, folder)
    assert run.wait(900) == [0] * count, [run.said(i) for i in range(count)]
    assert_same_to_rounding(whole, folder)
    (name,) = [name for name in newest_arrays(folder, "params") if name.endswith("['outc']['dense']['kernel']")]
    for row, member in enumerate(Grid(dg.load(folder).settings).members):
        kernel = dg.load(folder).member(**member.coordinates).params["outc"]["dense"]["kernel"]
        np.testing.assert_array_equal(kernel, newest_arrays(folder, "params")[name][row])
    assert "wrote" in run.said(0)
    assert [run.said(i) for i in range(1, count)] == [""] * (count - 1)
    again = launch("train", *FLAGS, f"--workdir={folder}")
    assert "is complete: nothing left to train" in again.stdout


@slow
def test_two_processes_run_a_file_of_the_users_and_extend_what_it_made(tmp_path, launch):
    path, folder = write_own(tmp_path), tmp_path / "run"
    named = [f"--experiment={path}", f"--workdir={folder}", "--preset=tiny"]
    for more in ([], ["--extend", "--seeds=2,3"]):
        run = training(2, folder, flags=[*named, *more])
        assert run.wait(900) == [0, 0], [run.said(i) for i in range(2)]
    found = results.open_results(folder)
    assert found["seed"].values.tolist() == [0, 1, 2, 3]
    assert np.isfinite(found["accuracy"].values).all()
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"wave_000", "wave_001"}
    again = launch("train", *named, "--seeds=0,1,2,3")
    assert "is complete: nothing left to train" in again.stdout, again.stderr


def test_processes_with_different_files_say_so_and_end(tmp_path):
    files = [write_own(tmp_path, code, name) for name, code in (("a.py", OWN), ("b.py", OWN + "# other"))]
    shared = [f"--workdir={tmp_path / 'run'}", "--preset=tiny", f"--coordinator=127.0.0.1:{free_port()}"]
    shared += ["--processes=2", "--lost_after=10", "--start_within=300"]
    given = [command("train", *shared, f"--experiment={path}", f"--process={i}") for i, path in enumerate(files)]
    run = Together(2, tmp_path / "logs", given)
    assert run.wait(120) == [distributed.FAILED, 2], [run.said(i) for i in range(2)]
    assert "is not the experiment's file of process 0: give all processes the same" in run.said(1)
    assert LOST in run.said(0)
    assert not (tmp_path / "run").exists()


@slow
@pytest.mark.parametrize(("count", "victim", "then"), [(2, 0, 4), (2, 1, 1), (4, 2, 2)])
def test_killed_in_some_processes_resumed_in_another_number(whole, tmp_path, count, victim, then):
    folder = tmp_path / "run"
    run = training(count, folder, lost_after=30)
    run.wait_for_state(folder, 20)
    run.kill(victim)
    assert newest_state(folder) < 60
    more = training(then, folder)
    assert set(more.wait(900)) == {0}, more.said(0)
    assert_same_to_rounding(whole, folder)


@slow
def test_sigterm_to_one_stops_all_at_one_step_and_one_process_goes_on(whole, tmp_path, launch):
    folder = tmp_path / "run"
    run = training(4, folder)
    run.wait_for_state(folder, 10)
    run.processes[1].send_signal(signal.SIGTERM)
    assert run.wait(120) == [128 + signal.SIGTERM] * 4, [run.said(i) for i in range(4)]
    for i in range(4):
        assert f"stopped at step {newest_state(folder)} of 60, state saved: run again to go on" in run.said(i)
    done = launch("train", *FLAGS, f"--workdir={folder}")
    assert done.returncode == 0, done.stderr
    assert_same_to_rounding(whole, folder)
