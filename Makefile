# make demo   set everything up and run the main job on a simulated patient
# make view   the same in a browser, on the demo's result
# make test   set everything up and run the tests
# All set up .venv on the first run only; later runs need no network.
# Another interpreter: make demo PYTHON=python3.12

PYTHON ?=
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
# While the first installation goes on; what it leaves when broken off is thrown away, since it can
# be half a package, on which pip itself fails.
BEGUN := $(VENV)/.installing
OUTPUT := demo-output

# slicer-core, which renders the pictures, exists for these versions.
SUPPORTED := (3, 11) <= sys.version_info[:2] <= (3, 13)

.PHONY: demo view test lint format bench setup clean distclean

demo: $(STAMP)
	@$(PY) -m MRISynthApp demo --output $(OUTPUT)
	@echo "To look at it in a browser: make view"

view: $(STAMP)
	@test -f $(OUTPUT)/provenance.json || $(PY) -m MRISynthApp demo --output $(OUTPUT)
	@$(PY) -m MRISynthApp view $(OUTPUT)

test: $(STAMP)
	@OMP_NUM_THREADS=1 $(PY) -m pytest -n logical --maxprocesses 4 --dist loadfile \
	  --no-loadscope-reorder

lint: $(STAMP)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

format: $(STAMP)
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

bench: $(STAMP)
	@set -e; for script in $(sort $(wildcard Testing/benchmarks/*.py)); do $(PY) $$script; done

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@found=""; if [ -e $(BEGUN) ] || ! $(PY) -m pip --version >/dev/null 2>&1; then \
	  for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python); do \
	    if "$$python" -c 'import sys; sys.exit(not ($(SUPPORTED)))' 2>/dev/null; then \
	      found="$$python"; break; \
	    fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "MRISynth needs Python 3.11, 3.12 or 3.13, and $(or $(PYTHON),python3) is none of them." >&2; \
	    echo "Install one of them, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; \
	    exit 1; \
	  fi; \
	  if ! "$$found" -m venv --clear $(VENV); then \
	    echo "$$found cannot make a virtual environment; on Debian or Ubuntu install python3-venv." >&2; \
	    exit 1; \
	  fi; \
	  touch $(BEGUN); \
	fi
	@echo "Installing the packages into $(VENV): a few minutes, only this once."
	@$(PY) -m pip install --disable-pip-version-check --no-input \
	  -c constraints.txt -e ".[scene,train,view,test]"
	@rm -f $(BEGUN)
	@touch $@

clean:
	@rm -rf $(OUTPUT) build dist *.egg-info .pytest_cache .hypothesis .ruff_cache
	@find MRISynth MRISynthSegment MRISynthApp Testing -name __pycache__ -prune -exec rm -rf {} +

distclean: clean
	@rm -rf $(VENV)
