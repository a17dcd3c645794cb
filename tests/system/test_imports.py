"""What must load without JAX: declarations, stored results, pictures and claims."""

import subprocess
import sys

PROGRAM = """
import sys
import experiments
import diffgeo.computed, diffgeo.pictures, diffgeo.plots, diffgeo.results, diffgeo.workdir
found = [experiments.find(name) for name in experiments.names()]
assert len(found) > 3
print(*sorted({"jax", "jaxlib", "flax", "orbax", "cv2", "umap", "ripser", "sklearn"} & set(sys.modules)))
"""


def test_declarations_and_pictures_load_without_jax():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
