# Checks and tests, in the active environment (python -m pip install -e '.[dev]'). .ci/run calls these targets.

.PHONY: check lint format types imports docstrings test test-slow figures notebooks docs browser

# All that needs no test run: about two minutes
check: lint types imports docstrings

lint:
	ruff check .
	ruff format --check .
	codespell

# Rewrite files as `lint` wants them
format:
	ruff check --fix .
	ruff format .

types:
	python .ci/types.py

imports:
	lint-imports --no-logo

docstrings:
	interrogate diffgeo experiments launch

test:
	python -m pytest

# Over half a minute each: long shardings, memory, kills on several processes
test-slow:
	python -m pytest -m slow

# Every notebook from its first cell (python -m pip install -e '.[notebooks]'); the first call trains their models into
# runs/quickstart
notebooks:
	python -m pytest --nbmake --nbmake-timeout=1200 --timeout=1200 -n0 -p no:cacheprovider notebooks

# Every figure of experiments/gallery again, from the summaries there, under runs/gallery
figures:
	mkdir -p runs/gallery
	cp experiments/gallery/*.zip runs/gallery
	python -m launch.report --workdir=$$(ls runs/gallery/*.zip | paste -sd,) --gallery=runs/gallery/gallery.html

# The documents as a site, in runs/docs/site; a link that leads nowhere fails (python -m pip install -e '.[docs]')
docs:
	rm -rf runs/docs && mkdir -p runs/docs/source
	tar -c *.md CITATION.cff LICENSE docs experiments/*.md experiments/*.py experiments/gallery launch/pods notebooks/*.ipynb \
		| tar -x -C runs/docs/source
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --config-file docs/mkdocs.yml

# Pages of reports in a real browser, nightly (apt-get install chromium chromium-driver; python -m pip install -e '.[browser]')
browser:
	python -m pytest -m slow -n0 -rs tests/system/test_browser.py
