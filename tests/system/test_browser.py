"""The report's page in a real Chromium: it turns, slides, changes its member, fits a phone; the console is clean."""

import shutil
import time

import numpy as np
import pytest

import experiments
from diffgeo import report
from diffgeo.report import pages
from tests.support.results import made_up

LACKING = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
if LACKING:
    pytest.skip(f"the browser test needs {' and '.join(LACKING)}: apt-get install chromium chromium-driver", True)
for package in ("selenium", "plotly"):
    pytest.importorskip(package, reason=f"the browser test needs {package}: pip install -e '.[browser]'")

from selenium import webdriver  # noqa: E402 (as are the others: only where it is installed)
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

pytestmark = pytest.mark.slow

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader"),  # WebGL without a graphics card
)
HINTS = ("GPU stall due to ReadPixels", "willReadFrequently")
"""Hints of the browser on the speed of plotly's own drawing: of no fault of the page."""
SECONDS = 60
EVIL = "</script><img src=x onerror=\"document.title='broken'\">"
WIDTHS, SCHEMES = (1280, 390), ("light", "dark")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page of made-up results, whose text a stranger wrote."""
    made = made_up("p1_fig9", lambda at, t, region: 0.9 * t, seeds=(0, 1)).assign_attrs(commit=EVIL, preset=EVIL)
    rng = np.random.default_rng(0)
    for name in ("umap", "pca"):
        made[name].values[:] = rng.normal(size=made[name].shape)
    made["samples"].values[:] = rng.integers(0, 200, made["samples"].shape)
    folder = tmp_path_factory.mktemp("page")
    written = report.report(experiments.find("p1_fig9"), made, folder, say=lambda line: None)
    pages.write_gallery(folder / "gallery.html", [written, written])
    return folder


@pytest.fixture
def browser(request, tmp_path):
    width, scheme = request.param
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver"))) as driver:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        yield driver


def ready(driver) -> None:
    WebDriverWait(driver, SECONDS).until(lambda _: driver.find_elements(By.CSS_SELECTOR, "[data-ready] .cloud canvas"))


def points(driver) -> list:
    return driver.execute_script("return document.querySelector('.cloud').data[0].x.slice(0, 8)")


def camera(driver) -> dict:
    return driver.execute_script("return document.querySelector('.cloud')._fullLayout.scene._scene.getCamera().eye")


def menu(driver, name: str) -> Select:
    labels = driver.find_elements(By.CSS_SELECTOR, ".controls label")
    (found,) = [label for label in labels if label.text.startswith(name)]
    return Select(found.find_element(By.TAG_NAME, "select"))


def assert_clean(driver) -> None:
    said = [entry["message"] for entry in driver.get_log("browser")]
    assert [each for each in said if not any(hint in each for hint in HINTS)] == []
    assert driver.title != "broken"


def assert_fits(driver, width: int) -> None:
    wide, room, window = driver.execute_script(
        "const root = document.documentElement; return [root.scrollWidth, root.clientWidth, innerWidth]"
    )
    assert (wide, window) == (room, width)


@pytest.mark.parametrize("browser", [(w, s) for w in WIDTHS for s in SCHEMES], indirect=True, ids=str)
def test_it_turns_slides_and_changes_its_member(browser, page, request):
    width, _ = request.node.callspec.params["browser"]
    browser.get((page / "report.html").as_uri())
    ready(browser)
    assert_fits(browser, width)
    cloud = browser.find_element(By.CSS_SELECTOR, ".cloud")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", cloud)
    assert "3-D scatter of 256 points: 3-D UMAP of the representation" in cloud.get_attribute("aria-label")

    before = camera(browser)
    ActionChains(browser).move_to_element(cloud).click_and_hold().move_by_offset(60, 20).release().perform()
    WebDriverWait(browser, SECONDS).until(lambda _: camera(browser) != before)
    before = camera(browser)
    cloud.send_keys(Keys.ARROW_LEFT)
    WebDriverWait(browser, SECONDS).until(lambda _: camera(browser) != before)
    turned = camera(browser)

    slider = browser.find_element(By.CSS_SELECTOR, ".controls input[type=range]")
    last, said = points(browser), browser.find_element(By.CSS_SELECTOR, ".status").text
    slider.send_keys(Keys.ARROW_LEFT)
    assert points(browser) != last
    assert browser.find_element(By.CSS_SELECTOR, ".status").text != said
    assert camera(browser) == pytest.approx(turned, rel=1e-3), "the view stays as it was turned"
    slider.send_keys(Keys.ARROW_RIGHT)
    assert points(browser) == last

    seed = menu(browser, "seed")
    other = 1 - int(seed.first_selected_option.text)
    seed.select_by_visible_text(str(other))
    assert points(browser) != last
    assert f"seed: {other}" in cloud.get_attribute("aria-label")

    for color in ("y (pixels)", "error (pixels)"):
        menu(browser, "colored by").select_by_visible_text(color)
        assert f"colored by {color}" in cloud.get_attribute("aria-label")
    for view in ("principal components 1 to 3 of the representation (layer4)", "labels drawn"):
        menu(browser, "shown").select_by_visible_text(view)
        assert view in cloud.get_attribute("aria-label")
    assert browser.find_element(By.CSS_SELECTOR, "canvas.samples").get_attribute("aria-label").startswith("25 sample")
    for alone in browser.find_elements(By.CSS_SELECTOR, "main img, [role=img], [role=application]"):
        assert alone.get_attribute("alt") or alone.get_attribute("aria-label")
    assert_fits(browser, width)
    assert_clean(browser)


@pytest.mark.parametrize("browser", [(390, "dark")], indirect=True, ids=str)
def test_runs_of_a_gallery_are_explored_when_they_are_opened(browser, page):
    begun = time.monotonic()
    browser.get((page / "gallery.html").as_uri())
    loaded = time.monotonic() - begun
    assert not browser.find_elements(By.CSS_SELECTOR, "[data-ready]")
    browser.find_element(By.CSS_SELECTOR, "details.run > summary").click()
    ready(browser)
    print(f"loaded in {loaded:.1f} s, turns after {time.monotonic() - begun:.1f} s")
    assert len(browser.find_elements(By.CSS_SELECTOR, "[data-ready]")) == 1
    assert_fits(browser, 390)
    assert_clean(browser)
