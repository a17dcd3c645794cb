"""Clusters of overlapping bumps against all pairs of `images.overlap`, and the papers' numbers."""

import itertools
import time

import numpy as np
import pytest

from diffgeo import images, percolation
from diffgeo.errors import UserError


def connected_pairs(centers, sigma, size, threshold):
    """bool[n, n] from pictures of every pair, either direction; a blank bump (overlap NaN) has no pair."""
    profiles = images.stripe_profiles(centers, np.asarray(sigma), size)
    pictures = np.einsum("ny,nx->nyx", profiles[:, 1], profiles[:, 0]).reshape(len(centers), -1)
    shared = pictures @ pictures.T  # ||sqrt(a b)||^2
    squared = np.diag(shared).copy()
    visible = squared >= np.finfo(np.float64).tiny
    with np.errstate(divide="ignore", invalid="ignore"):
        one_way = np.sqrt(shared / squared[:, None]) > threshold
    return visible[:, None] & visible[None, :] & (one_way | one_way.T)


def brute_force(centers, sigma, size, threshold):
    """Labels by all pairs and union-find."""
    parent = list(range(len(centers)))

    def root(i):
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j in zip(*np.nonzero(np.triu(connected_pairs(centers, sigma, size, threshold), 1)), strict=True):
        parent[root(i)] = root(j)
    return np.array([root(i) for i in range(len(centers))])


def same_partition(a, b):
    pairs = np.unique(np.stack([a, b]), axis=1).shape[1]
    return pairs == len(np.unique(a)) == len(np.unique(b))


def random_case(rng):
    """Points in and around the image, on a lattice or off, with copies, clumps, and any spread."""
    size, count = int(rng.integers(6, 20)), int(rng.integers(1, 70))
    points = rng.uniform(-0.5, size - 0.5, (count, 2))
    style = rng.integers(4)
    if style == 1:
        points = np.rint(points * 4) / 4
    elif style == 2:
        points[: count // 2] = rng.normal(size / 2, 0.3, (count // 2, 2))
    elif style == 3:
        points = rng.uniform(-4, size + 3, (count, 2))
    if rng.random() < 0.3:
        points = np.concatenate([points, points[: count // 3]])
    sigma = float(np.exp(rng.uniform(np.log(0.1), np.log(3.0))))
    if rng.random() < 0.2:
        sigma = np.array([sigma, float(rng.uniform(0.1, 3.0))])
    return points, sigma, size


@pytest.mark.parametrize("seed", range(40))
def test_equals_all_pairs(seed):
    rng = np.random.default_rng(seed)
    points, sigma, size = random_case(rng)
    for threshold in (1e-4, 0.005, 0.1, 0.5, 0.9, 0.99, 1.3):
        expected = brute_force(points, sigma, size, threshold)
        labels = percolation.clusters(points, sigma, size, threshold)
        assert same_partition(labels, expected), (sigma, size, threshold)
        mass = np.unique(expected, return_counts=True)[1].max() / len(points)
        assert percolation.largest_cluster(points, sigma, size, threshold) == pytest.approx(mass)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("neighbors", "chunk"), [(1, 300), (8, 300)])
def test_growing_radius_equals_all_pairs(seed, neighbors, chunk, monkeypatch):
    """Dense sets in clumps, with few nearest neighbors and small chunks: the radius search has the work."""
    monkeypatch.setattr(percolation, "NEIGHBORS", neighbors)
    monkeypatch.setattr(percolation, "CHUNK", chunk)
    rng = np.random.default_rng(seed)
    clumps = rng.uniform(-1, 16, (4, 1, 2))
    points = (clumps + rng.normal(0, 0.35, (4, 50, 2))).reshape(-1, 2)
    sigma = float(rng.uniform(0.15, 1.0))
    for threshold in (0.005, 0.3, 0.97):
        labels = percolation.clusters(points, sigma, 16, threshold)
        assert same_partition(labels, brute_force(points, sigma, 16, threshold)), (sigma, threshold)


@pytest.mark.parametrize(("sigma", "increment"), [(0.1, 0.25), (0.3, 0.25), (1.0, 0.5), (0.2, 0.5), (1.0, 0.25)])
def test_lattices_equal_all_pairs(sigma, increment):
    points = percolation.lattice(6, increment)
    points = points[np.random.default_rng(0).random(len(points)) < 0.7]
    for threshold in (0.005, 0.97, 0.999, 1.5):
        labels = percolation.clusters(points, sigma, 6, threshold)
        assert same_partition(labels, brute_force(points, sigma, 6, threshold))


@pytest.mark.parametrize("sigma", [0.1, 0.15, 0.25, 0.4, 0.7, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("threshold", [1e-4, 0.005, 0.2, 0.8])
def test_reach_bounds_every_connected_pair(sigma, threshold):
    """Also tight enough to be of use: a few spreads over the farthest pair found."""
    size, rng = 48, np.random.default_rng(1)
    x = np.concatenate([np.array([0.0, 0.5, -0.5, 23.5, 24.0, 47.5]), rng.uniform(-0.5, size - 0.5, 300)])
    y = rng.choice([23.5, 24.0], len(x))  # half a pixel off and on: the least and the greatest norm
    points = np.stack([x, y], axis=1)
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    bound = percolation.connection_radius(sigma, threshold)
    farthest = distance[connected_pairs(points, sigma, size, threshold)].max()
    assert farthest <= bound
    assert bound < farthest + 1.5 + 3.5 * sigma


def test_small_bumps_never_connect_on_the_unit_lattice():
    """[2408.13256, D.1]: sigma = 0.1 never percolates."""
    points = percolation.lattice(32, 1.0)
    assert len(points) == 1024
    assert percolation.largest_cluster(points, 0.1, 32, 0.005) == 1 / 1024
    assert percolation.largest_cluster(points, 1.0, 32, 0.005) == 1.0


def test_unit_spread_connects_nine_pixels_along_an_axis_and_not_ten():
    for start in range(0, 20):
        for axis in (0, 1):
            pair = np.full((2, 2), float(start))
            for distance, mass in ((9, 1.0), (10, 0.5)):
                pair[1, axis] = start + distance
                assert percolation.largest_cluster(pair, 1.0, 32, 0.005) == mass


def test_rule_is_either_direction():
    """On the pixel and a third off it: faint over bright is above 1, bright over faint below."""
    pair = np.array([[16.0, 16.0], [16.4, 16.0]])
    bright, faint = (images.overlap(*ends, 0.1, 32) for ends in (pair, pair[::-1]))
    between = 0.5 * (bright + faint)
    assert bright < between < faint
    assert percolation.largest_cluster(pair, 0.1, 32, between) == 1.0
    assert percolation.largest_cluster(pair[::-1], 0.1, 32, between) == 1.0
    assert percolation.largest_cluster(pair, 0.1, 32, 1.01 * faint) == 0.5


def test_copies_are_connected_below_threshold_one_only():
    copies = np.full((5, 2), 7.3)
    assert percolation.largest_cluster(copies, 1.0, 16, 0.999) == 1.0
    assert percolation.largest_cluster(copies, 1.0, 16, 1.0) == 1 / 5
    # Two brighter neighbors overlap with every copy by more than 1: that joins the copies after all.
    chain = np.concatenate([np.full((3, 2), 7.5), [[7.0, 7.0]]])
    assert percolation.largest_cluster(chain, 0.1, 16, 1.5) == 1.0


def test_blank_bumps_connect_to_nothing():
    blank = np.full((3, 2), 7.5)
    assert percolation.largest_cluster(blank, 1e-3, 16, 0.005) == 1 / 3
    mixed = np.concatenate([blank, np.full((2, 2), 7.0)])
    assert percolation.largest_cluster(mixed, 1e-3, 16, 0.005) == 2 / 5
    assert percolation.largest_cluster(mixed[:1], 1e-3, 16, 0.005) == 1.0


@pytest.mark.parametrize(
    ("change", "quoted"),
    [
        ({"centers": np.zeros((0, 2))}, "(0, 2)"),
        ({"centers": np.zeros((3, 3))}, "(3, 3)"),
        ({"centers": np.array([[np.nan, 1.0]])}, "1 coordinates"),
        ({"sigma": 0.0}, "sigma 0.0"),
        ({"sigma": np.ones(3)}, "sigma"),
        ({"size": 0}, "size 0"),
        ({"threshold": 0.0}, "threshold 0.0"),
        ({"threshold": float("nan")}, "threshold nan"),
    ],
)
def test_mistakes_are_named(change, quoted):
    arguments = {"centers": np.zeros((2, 2)), "sigma": 1.0, "size": 16, "threshold": 0.005, **change}
    with pytest.raises(UserError) as caught:
        percolation.largest_cluster(**arguments)
    assert quoted in str(caught.value)


def simulate(**arguments):
    """`percolation.simulate` with the fields of `Draws` beside the other arguments."""
    draws = {name: arguments.pop(name) for name in percolation.Draws._fields if name in arguments}
    return percolation.simulate(**arguments, draws=percolation.Draws(**draws))


@pytest.mark.parametrize(
    "change", [{"fractions": [0.0]}, {"fractions": [1.1]}, {"repeats": 0}, {"increment": 0.0}, {"seed": -1}]
)
def test_mistakes_of_a_simulation_are_named(change):
    arguments = {
        "size": 8,
        "increment": 1.0,
        "sigmas": [1.0],
        "thresholds": [0.1],
        "fractions": [0.5],
        **change,
    }
    with pytest.raises(UserError):
        simulate(**arguments)


@pytest.mark.parametrize(("increment", "count"), [(0.1, 102400), (0.3, 11449), (0.7, 2116), (1.0, 1024)])
def test_lattice_sizes(increment, count):
    """[2408.13256, section 2]: end point excluded."""
    points = percolation.lattice(32, increment)
    assert points.shape == (count, 2)
    assert points.min() == 0.0
    assert points.max() < 32


def small_simulation(**change):
    arguments = {
        "size": 16,
        "increment": 1.0,
        "sigmas": [0.1, 0.3, 0.5, 1.0],
        "thresholds": [0.005, 0.3],
        "fractions": [0.1, 0.4, 0.7, 1.0],
        "repeats": 4,
    }
    return simulate(**{**arguments, **change})


@pytest.fixture(scope="module")
def simulation():
    return small_simulation(nested=True)


def test_simulation_is_labeled_and_in_range(simulation):
    assert simulation["largest_fraction"].dims == ("threshold", "sigma", "kept_fraction", "repeat")
    assert simulation["largest_fraction"].shape == (2, 4, 4, 4)
    assert np.array_equal(simulation["kept"], [26, 102, 179, 256])
    assert np.all(simulation["largest_fraction"] >= 1 / simulation["kept"])
    assert np.all(simulation["largest_fraction"] <= 1)


def test_same_points_make_clusters_grow_with_sigma_and_fall_with_threshold(simulation):
    """Each draw by itself: it would not hold if sigmas or thresholds had their own points."""
    assert np.all(simulation["largest_fraction"].diff("sigma") >= 0)
    assert np.all(simulation["largest_fraction"].diff("threshold") <= 0)
    assert float(simulation["largest_fraction"].sel(sigma=0.3, threshold=0.005, kept_fraction=0.4).std("repeat")) > 0


def test_nested_fractions_contain_each_other(simulation, monkeypatch):
    number = simulation["largest_fraction"] * simulation["kept"]
    assert np.all(number.diff("kept_fraction") > -1e-9)
    for nested in (True, False):
        seen = []
        monkeypatch.setattr(percolation, "largest_cluster", lambda points, *_, seen=seen: seen.append(points) or 1)
        small_simulation(nested=nested, sigmas=[1.0], thresholds=[0.1], repeats=2)
        sets = [{tuple(p) for p in points} for points in seen]
        assert [len(s) for s in sets] == [26, 102, 179, 256] * 2  # kept without replacement
        contained = [a <= b for a, b in itertools.pairwise(sets[:4])]
        assert contained == ([True] * 3 if nested else [False, False, True])
        assert sets[0] != sets[4]


def test_further_values_change_no_other(simulation):
    alone = small_simulation(nested=True, sigmas=[0.3], fractions=[0.4], thresholds=[0.005], repeats=2)
    same = simulation["largest_fraction"].sel(sigma=[0.3], kept_fraction=[0.4], threshold=[0.005], repeat=[0, 1])
    assert np.array_equal(alone["largest_fraction"], same)
    other = small_simulation(nested=True, sigmas=[0.3], fractions=[0.4], thresholds=[0.005], seed=1)["largest_fraction"]
    assert not np.array_equal(
        other.squeeze(), simulation["largest_fraction"].sel(sigma=0.3, kept_fraction=0.4, threshold=0.005)
    )


def test_interval_is_students(simulation):
    result = percolation.mean_interval(simulation)
    draws = simulation["largest_fraction"].sel(threshold=0.3, sigma=0.3, kept_fraction=0.4).to_numpy()
    half = 3.182446 * draws.std(ddof=1) / 2.0  # t of 97.5 % and 3 degrees of freedom; sqrt of 4 draws
    at = result.sel(threshold=0.3, sigma=0.3, kept_fraction=0.4)
    assert float(at["mean"]) == pytest.approx(draws.mean())
    assert float(at["low"]) == pytest.approx(draws.mean() - half, abs=1e-6)
    assert float(at["high"]) == pytest.approx(draws.mean() + half, abs=1e-6)
    assert np.all(result["low"] >= 0)
    assert np.all(result["high"] <= 1)
    assert np.isnan(percolation.mean_interval(simulation.isel(repeat=[0]))["low"]).all()


def test_papers_simulation_is_quick():
    """[2408.13256, Fig. 6c]: 1,024 points, 10 spreads, 10 fractions, 5 draws."""
    tenths = np.arange(1, 11) / 10
    start = time.perf_counter()
    mass = percolation.simulate(32, 1.0, tenths, [0.005], tenths)["largest_fraction"].mean("repeat").isel(threshold=0)
    assert time.perf_counter() - start < 60
    assert np.allclose(mass.sel(sigma=0.1), 1 / np.rint(tenths * 1024))
    assert np.all(mass.sel(kept_fraction=1.0, sigma=tenths[1:]) == 1.0)
    # The fraction at which half is connected falls with the spread.
    first = [int(np.argmax(row >= 0.5)) for row in mass.sel(sigma=tenths[1:]).to_numpy()]
    assert first == sorted(first, reverse=True)
    assert first[0] > first[2]


@pytest.mark.slow
@pytest.mark.parametrize("fraction", [1.0, 0.5, 0.1, 0.01])
def test_dense_lattice_in_a_fresh_process(fraction):
    """65,536 points with about 4,000 neighbors each: under 30 s and 1 GB."""
    import subprocess
    import sys

    program = (
        "import resource, time, numpy as np; from diffgeo import percolation as p; q = p.lattice(64, 0.25);"
        f"q = q[np.random.default_rng(0).permutation(65536)[:round({fraction} * 65536)]];"
        "t = time.perf_counter();"
        "m = p.largest_cluster(q, 1.0, 64, 0.005); t = time.perf_counter() - t;"
        "print(m, t, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    mass, seconds, kilobytes = map(float, run.stdout.split())
    assert mass == 1.0
    assert seconds < 30
    assert kilobytes < 1e6
