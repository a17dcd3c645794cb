"""A run in its folder: training a grid in waves, evaluating its members, analyzing their representations."""

from diffgeo.run.analyze_grid import analyze, analyze_wave
from diffgeo.run.run import Run
from diffgeo.run.session import Session
from diffgeo.run.train_grid import execute
from diffgeo.run.wave_loop import train_wave
from diffgeo.run.waves import Wave

__all__ = ["Run", "Session", "Wave", "analyze", "analyze_wave", "execute", "train_wave"]
