"""The smallest run that writes every kind of thing, and the program that trains it, called as often as one likes.

States, one of which makes way, parameters, results, analyses, a metric of the model, a log and a figure; at its end
checkpoints are removed.
"""

import concurrent.futures.thread
import contextlib
import gc
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
from matplotlib.figure import Figure

from diffgeo.experiment import Experiment, Metric, Plot
from diffgeo.host import signals
from diffgeo.run import measure
from diffgeo.settings import TINY, Dataset, Factor, adapt
from diffgeo.settings.allowed import LAYER
from launch import program, train
from tests.support import networks
from tests.support.program_faults import without_progress

GRAY = Dataset(
    name="gray",
    factors=[Factor("level", 0, 1, tolerance=0.1)],
    table=lambda size: np.linspace(0, 1, 5)[:, None],
    render=lambda labels, size: 2 * labels[:, :, None, None] * np.ones((size, size, 1)) - 1,
    read=lambda images: images.mean(axis=(1, 2))[:, None] / 255,
)
"""A single factor, and none of the papers' scores: fewer variables."""

EXPERIMENT = Experiment(
    name="refused",
    figure="none",
    claim="none",
    presets={
        "tiny": adapt(
            TINY,
            {"seed": (0,)},
            dataset=GRAY,
            train={"steps": 2, "log_every": 1},
            evaluation={"every_steps": 2, "num_samples": 4, "num_common": 0, "sampler_steps": 2},
        )
    },
    plots=(Plot("empty", lambda results: Figure((1, 1))),),
    analyses=("spectrum",),
    metrics=(Metric("modules", lambda model: len(model.params), of_model=True, only_last=True),),
)
FLAGS = (
    f"--experiment={__name__}:EXPERIMENT",
    "--preset=tiny",
    "--keep=last",
    "--log=jsonl",
    "--steps_per_call=1",
)

PATIENCE = 30
"""Seconds that threads may go on after the program: its end waits for those that are no daemons."""
WAITING = -1
"""Stands for an exit status, of a program that does not end."""


@contextlib.contextmanager
def smallest() -> Iterator[None]:
    """Let programs of this process train a network that compiles in a second, and measure one tensor of it.

    A state is saved after every step: of three, one makes way.
    """
    others = {tensor: () for tensor in measure.TENSORS if tensor != LAYER}
    with (
        networks.replaced(),
        mock.patch.dict(measure.MEASURED, others),
        mock.patch.object(signals, "SAVE_SECONDS", 0),
    ):
        yield


def run_program(folder: Path, said: Path) -> tuple[int, str]:
    """Call the program on a folder as a command line does; return its exit status, and what it said on stderr.

    Args:
      folder: of the run.
      said: the file that this process's stderr is.
    """
    os.truncate(said, 0)
    sys.argv[:] = ["train", *FLAGS, f"--workdir={folder}"]
    status = 0
    try:
        program.run(train.main, program.SHARED)
    except SystemExit as end:
        status = 0 if end.code is None else int(end.code)
    except Exception:  # the interpreter's own answer
        traceback.print_exc()
        status = 1
    gc.collect()  # what has not been closed says so, as at a program's end
    sys.stderr.flush()
    words = without_progress(said.read_text())
    for thread in set(threading.enumerate()) - set(concurrent.futures.thread._threads_queues):
        if not thread.daemon and thread is not threading.current_thread():
            threading.Thread.join(thread, PATIENCE)  # orbax's own raises
            if thread.is_alive():
                return WAITING, f"{words} | it does not end: {thread.name!r} goes on"
    return status, words
