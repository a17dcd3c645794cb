"""Saved files, colors and wording of pictures."""

import io

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from diffgeo import plots
from diffgeo.errors import UserError
from diffgeo.plots import style
from tests.support.plots import draw, make_results

# Also while drawing: layout that collapses, empty legends and means of nothing are warnings.
pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize("name", ["overview", "phase_diagram"])
def test_saved_picture_opens_and_is_small(tmp_path, name):
    figure = getattr(plots, name)(make_results(kept=25))
    path = plots.save(figure, tmp_path / "new folder" / "picture.png")
    assert path.stat().st_size < 200_000
    assert [file.name for file in path.parent.iterdir()] == ["picture.png"]  # no part left
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        width, height = figure.get_size_inches() * style.DPI
        assert picture.size == (int(width), int(height))
        assert np.ptp(np.asarray(picture.convert("L"))) > 200


def test_a_matplotlibrc_changes_nothing(tmp_path):
    plain = plots.save(plots.learning_curves(make_results()), tmp_path / "plain.png")
    with mpl.rc_context({"text.usetex": True, "font.size": 30, "axes.facecolor": "black", "savefig.dpi": 20}):
        odd = plots.save(plots.learning_curves(make_results()), tmp_path / "odd.png")
        assert mpl.rcParams["font.size"] == 30, "what was set is restored"
    assert odd.read_bytes() == plain.read_bytes()


def test_saved_colors_are_true(tmp_path):
    """The small palette keeps each curve's own color."""
    figure = plots.learning_curves(make_results(values=np.linspace(0.1, 1.0, 10)))
    with Image.open(plots.save(figure, tmp_path / "picture.png")) as picture:
        pixels = np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0).astype(int)
    for color in style.value_colors(list(np.linspace(0.1, 1.0, 10))):
        wanted = np.rint(255 * np.array(to_rgb(color)))
        assert np.abs(pixels - wanted).max(axis=1).min() <= 4


def test_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "picture.png"
    path.write_bytes(b"old")
    figure = plots.sample_grid(make_results(), 0, increment=0.1, seed=0)

    write = Image.Image.save

    def fail(image, target, **settings):
        write(image, target, **settings)
        if not isinstance(target, io.BytesIO):  # matplotlib writes to memory by the same function
            raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        plots.save(figure, path)
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_reader_of_the_old_file_is_not_disturbed(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        plots.save(plots.sample_grid(make_results(kept=1), 0, increment=0.1, seed=0), path)
        assert reader.read() == b"old"


def test_only_png_and_pdf(tmp_path):
    with pytest.raises(UserError, match=r"picture\.svg"):
        plots.save(Figure(), tmp_path / "picture.svg")


def test_notebooks_show_a_figure():
    assert plots.phase_diagram(make_results())._repr_png_().startswith(b"\x89PNG")


def test_the_users_settings_neither_change_nor_show():
    with mpl.rc_context({"font.size": 23, "xtick.labelsize": 31}):
        before = dict(mpl.rcParams)
        figure = draw(plots.learning_curves(make_results()))
        assert dict(mpl.rcParams) == before
        ax = figure.axes[0]
        sizes = {text.get_fontsize() for text in (ax.xaxis.label, *ax.get_xticklabels())}
    assert sizes == {10, 9}


def test_wording():
    assert style.axis_label("sigma") == "sigma (pixels)"
    assert style.axis_label("unheard_of") == "unheard_of"
    assert style.value_text(np.float32(0.1)) == "0.1"
    assert style.setting_text("increment", np.float32(0.1)) == "increment d = 0.1 pixels"
    assert style.thousands(320_000) == "320,000"
