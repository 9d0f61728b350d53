# Two commands set up everything on a fresh machine:  make demo   make test
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WEIGHTS := models/all-MiniLM-L6-v2

.PHONY: demo test lint package benchmark gpu clean

# torch comes first and alone: resolving it with the rest may bring another build of it
$(VENV)/installed: setup.cfg constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test]'
	touch $@

$(WEIGHTS): | $(VENV)/installed
	$(BIN)/python tools/fetch_weights.py $@

demo: $(VENV)/installed $(WEIGHTS)
	$(BIN)/python train.py --config configs/demo.yaml --overwrite
	$(BIN)/python train.py --config configs/demo_cross.yaml --overwrite
	$(BIN)/python mine.py rank --model runs/demo_cross/best --documents.path sbert/data/demo/candidates.txt \
		--top_k 5 --query "Vietnamese exporters win 7-year deal to sell furniture"
	$(BIN)/python augment.py recipe --config configs/augsbert/demo.yaml --redo

test: $(VENV)/installed $(WEIGHTS)
	$(BIN)/python -m pytest

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# an ordinary, not editable, installation has every module and the built-in corpus
package: $(VENV)/installed
	rm -rf build
	$(BIN)/python -m pip install --quiet --no-deps --target build/package .
	cd build && PYTHONPATH=package ../$(BIN)/python ../tests/check_package.py

# docs/speed.md, of this kind of machine: hours
benchmark: $(VENV)/installed $(WEIGHTS)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[benchmarks]'
	$(BIN)/python benchmarks/speed.py

# on a machine with a GPU: its tests, and one table of all that is measured
gpu: $(VENV)/installed $(WEIGHTS)
	@$(BIN)/python -c "import sys, torch; torch.cuda.is_available() or sys.exit('make gpu: no GPU here')"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[benchmarks]'
	SBERT_TEST_GPU=1 $(BIN)/python -m pytest tests/gpu
	$(BIN)/python benchmarks/gpu.py

clean:
	rm -rf $(VENV) build *.egg-info
