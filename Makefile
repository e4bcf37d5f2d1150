# Everything runs from a bare checkout: the first target makes the environment .venv and fills it from constraints.txt.
# What was installed is marked by stamp files in .venv, so a second run installs nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# --no-build-isolation: hebbit is built with the pinned setuptools instead of a newer one fetched for each build.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
PIP_HERE := $(PIP) --no-build-isolation
# Pictures and videos are made without a screen.
export MPLBACKEND ?= Agg
export SDL_VIDEODRIVER ?= dummy

.PHONY: help demo format lint test test-sb3 slow clean

help:
	@echo "make demo      a brain learns CartPole-v1, is evaluated and drawn: runs/demo"
	@echo "make test      linters, types, import rules and the tests"
	@echo "make slow      the long tests"
	@echo "make test-sb3  the tests beside Stable-Baselines3 (installs torch)"
	@echo "make lint      linters, types and import rules alone"
	@echo "make format    mends what the linters can mend by themselves"
	@echo "make clean     removes .venv and everything that can be made again, except runs"

$(VENV)/.stamp-venv:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.stamp-run: $(VENV)/.stamp-venv pyproject.toml constraints.txt
	$(PIP) setuptools
	$(PIP_HERE) -e .
	touch $@

$(VENV)/.stamp-test: $(VENV)/.stamp-run
	$(PIP_HERE) -e '.[test]'
	touch $@

# torch is named with its version: left to choose, pip would fetch the newest build and gigabytes of CUDA libraries.
$(VENV)/.stamp-sb3: $(VENV)/.stamp-test
	$(PIP) torch==$$(sed -n 's/^torch==//p' constraints.txt)
	$(PIP_HERE) -e '.[test,sb3]'
	touch $@

demo: $(VENV)/.stamp-run
	rm -rf runs/demo
	$(BIN)/hebbit train CartPole-v1 --steps 30000 --seed 0 --run-dir runs/demo
	$(BIN)/hebbit evaluate runs/demo --episodes 100 --out runs/demo/evaluation.json
	@echo "learning curve: runs/demo/learning_curve.png"
	@echo "spikes:         runs/demo/raster.png"

format: $(VENV)/.stamp-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lint: $(VENV)/.stamp-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=tests/_path $(BIN)/lint-imports

test: lint
	$(BIN)/pytest

# pytest answers 5 when no test is marked slow; that is no failure.
slow: $(VENV)/.stamp-test
	$(BIN)/pytest -m "slow and not gpu" || [ $$? -eq 5 ]

test-sb3: $(VENV)/.stamp-sb3
	$(BIN)/pytest tests/sb3 -m "not gpu"

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find agents backends envs scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +
