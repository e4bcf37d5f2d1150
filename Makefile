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

# Other libraries in an environment of their own: Brian2 for Python 3.11 needs an older NumPy than ours.
PEERS := .venv-peers
PEERS_NUMPY := 2.3.5
PEERS_PIP := $(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -c $(PEERS)/constraints.txt

.PHONY: help demo format lint test test-sb3 test-browser peers gpu slow clean

help:
	@echo "make demo      a brain learns CartPole-v1, is evaluated and drawn: runs/demo"
	@echo "make test      linters, types, import rules and the tests"
	@echo "make slow      the long tests"
	@echo "make test-sb3  the tests beside Stable-Baselines3 (installs torch)"
	@echo "make test-browser  the pages in headless Chromium, which must be installed"
	@echo "make gpu       the tests that need a CUDA device, compute-sanitizer, throughput: docs/results/throughput_cupy.json"
	@echo "make peers     speed beside snnTorch, Norse, BindsNET and Brian2 (installs torch)"
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

# bindsnet without what it depends on: that would replace torch, and its networks need none of it.
$(PEERS)/.stamp-peers: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(PEERS)
	sed 's/^numpy==.*/numpy==$(PEERS_NUMPY)/' constraints.txt > $(PEERS)/constraints.txt
	$(PEERS_PIP) setuptools torch==$$(sed -n 's/^torch==//p' constraints.txt) norse
	$(PEERS_PIP) --no-build-isolation -e '.[peers]'
	$(PEERS_PIP) --no-deps bindsnet
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

peers: $(PEERS)/.stamp-peers
	NUMBA_NUM_THREADS=1 $(PEERS)/bin/hebbit throughput --backend numba --peers

# Not part of continuous integration: it needs a GPU, and compute-sanitizer from NVIDIA's CUDA toolkit.
gpu: $(VENV)/.stamp-test
	$(BIN)/pytest -m gpu
	$(BIN)/python -m hebbit.scripts.gpu_checks
	rm -f docs/results/throughput_cupy.json docs/results/throughput_cupy.png
	$(BIN)/hebbit throughput --backend cupy --out docs/results/throughput_cupy.json
	$(BIN)/python -m hebbit.scripts.resident_rate --backend cupy --out docs/results/resident_rate_cupy.json
	rm -rf runs/gpu
	$(BIN)/python -m hebbit.scripts.resident_rate_figure docs/results/resident_rate_cupy.json --out docs/results/resident_rate_cupy.png
	$(BIN)/hebbit train CartPole-v1 --brains 2048 --backend cupy --resident --until 0.95 --run-dir runs/gpu

# pytest answers 5 when no test is marked slow; that is no failure.
slow: $(VENV)/.stamp-test
	$(BIN)/pytest -m "slow and not gpu and not browser" || [ $$? -eq 5 ]

test-sb3: $(VENV)/.stamp-sb3
	$(BIN)/pytest tests/sb3 -m "not gpu and not browser"

test-browser: $(VENV)/.stamp-test
	$(BIN)/pytest -m browser

clean:
	rm -rf $(VENV) $(PEERS) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find agents backends envs scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +
