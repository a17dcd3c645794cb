"""The package `experiments` under one name for all of a process; a checkout has it beside this one, a wheel inside.

from diffgeo.declared import experiments
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import experiments
else:
    from diffgeo import experiments

__all__ = ["experiments"]
