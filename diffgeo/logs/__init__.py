"""What a run says of itself while it works: its status, the files of --log, and both as another terminal reads them.

Loads without JAX: a run is watched by a process that shares no device with it.
"""

from diffgeo.logs.files import Logs
from diffgeo.logs.status import Status, read_status

__all__ = ["Logs", "Status", "read_status"]
