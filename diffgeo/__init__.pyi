# What `__init__.py` imports lazily, for type checkers and editors.

from diffgeo import claims as claims
from diffgeo import images as images
from diffgeo import percolation as percolation
from diffgeo import plots as plots
from diffgeo import readout as readout
from diffgeo import representation as representation
from diffgeo import results as results
from diffgeo import settings as settings
from diffgeo import unet as unet
from diffgeo.api.saved_run import SavedRun as SavedRun
from diffgeo.api.saved_run import load as load
from diffgeo.api.torch import from_torch as from_torch
from diffgeo.api.torch import to_torch as to_torch
from diffgeo.api.train import extend as extend
from diffgeo.api.train import measure as measure
from diffgeo.api.train import merge as merge
from diffgeo.api.train import train as train
from diffgeo.claims import Claim as Claim
from diffgeo.claims import compare as compare
from diffgeo.claims import interval as interval
from diffgeo.claims import judge as judge
from diffgeo.errors import UserError as UserError
from diffgeo.experiment import Experiment as Experiment
from diffgeo.experiment import Metric as Metric
from diffgeo.experiment import Plot as Plot
from diffgeo.images import render as render
from diffgeo.model.activations import Activations as Activations
from diffgeo.model.trained_member import TrainedMember as TrainedMember
from diffgeo.settings import Dataset as Dataset
from diffgeo.settings import Factor as Factor

__version__: str
