# Two commands do everything on a fresh Debian or Ubuntu machine:
#   make run     installs what is missing, builds, runs the main job on real guests
#   make test    the same set-up, then the tests
PYTHON ?= python3
BIN := .venv/bin
NATIVE := $(shell find qemunet/native tests/native -name '*.cc' -o -name '*.h')

.PHONY: run test torture fuzz zoo setup lint types format attributes lock sanitize fuzz-frames flood-frames bench-skew bench-delays bench-batch soak-batch bench bench-qemu-frames figures clean

# Exit 5 says that the machine did not keep time, not that anything is wrong: a machine busy with other things gets
# two more tries.
run: setup
	@for try in 1 2 3; do \
	  $(BIN)/qemunet run topologies/pair.txt experiments/first_look.py && exit 0 || status=$$?; \
	  [ $$status = 5 ] || exit $$status; \
	  echo "make run: the machine was too busy for a faithful run (try $$try of 3)" >&2; \
	done; exit 5

# Tests in tests/pure wait for shells more than they compute, and have nothing but their own processes: they run side by side.
test: setup
	@status=0; \
	$(BIN)/python -m pytest -n 4 tests/pure || status=$$?; \
	$(BIN)/python -m pytest --durations=10 --ignore=tests/pure || status=$$?; \
	exit $$status

# Thousands of commands that try to break consoles, on machines and containers; every byte and status is checked.
# In full it takes hours under emulation: make torture COMMANDS=300 BYTES=20MB, or PARTS="containers machines", is less.
torture: setup
	$(BIN)/python -m tests.torture $(if $(COMMANDS),--commands=$(COMMANDS)) $(if $(BYTES),--bytes=$(BYTES)) \
	  $(if $(KILLS),--kills=$(KILLS)) $(if $(MACHINE_KILLS),--machine-kills=$(MACHINE_KILLS)) $(if $(SEED),--seed=$(SEED)) $(PARTS)

# 100,000 random and mutated inputs to each reader of topologies; make test has some thousands.
INPUTS ?= 100000
fuzz: setup
	$(BIN)/python -m tests.pure.fuzz --inputs=$(INPUTS)

# Twenty networks of the Topology Zoo as containers with static routes: every pair reachable, round trips as the delays say.
zoo: setup
	$(BIN)/python benchmarks/zoo.py

setup:
	@PYTHON=$(PYTHON) scripts/setup

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	clang-format --dry-run --Werror $(NATIVE)

types: setup
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	clang-format -i $(NATIVE)

# The native code under AddressSanitizer with UndefinedBehaviorSanitizer, then under ThreadSanitizer.
sanitize: setup
	scripts/sanitize

# Malformed frames through each kind of device and each way in, 1,000,000 each, under AddressSanitizer and
# UndefinedBehaviorSanitizer; make sanitize has some. NETWORKS="wire tap": some of them.
FRAMES ?= 1000000
fuzz-frames: setup
	"$$(scripts/build-sanitized address,undefined)/qemunet-fuzz-frames" --frames=$(FRAMES) $(if $(SEED),--seed=$(SEED)) $(NETWORKS)

# Frames without end for ten minutes into each kind of network, while no guest reads: bounded queues, flat memory.
FLOOD ?= 600
flood-frames: setup
	"$$(scripts/build-sanitized address,undefined)/qemunet-fuzz-frames" --flood=$(FLOOD) $(NETWORKS)

# How far apart commands start on 10 containers and on 10 machines, and what running one costs, beside pexpect and a bare
# C loop. For a short one: make bench-skew TASKS=100
TASKS ?= 1000
bench-skew: setup
	$(BIN)/python benchmarks/skew.py --tasks $(TASKS)

# Whether pings see the delays of a distribution, and flows the rate and the losses, of wires between containers; 3 min.
PINGS ?= 2000
bench-delays: setup
	$(BIN)/python benchmarks/delays.py --pings $(PINGS)

# A batch whose runs fail, hang, crash their guests and are unfaithful, killed and resumed twenty times; 10 min.
soak-batch: setup
	$(BIN)/python -m tests.end_to_end.soak

# What a run of a batch costs, warm and cold in turn, and 300 runs of a ping in one batch; 3 min.
RUNS ?= 300
bench-batch: setup
	$(BIN)/python benchmarks/batch.py --runs $(RUNS)

# What chains carry by each way, beside a bare relay, in turn; the table is in runs/bench/throughput/comparison.txt; 25 min.
# One that was cut short goes on where it was.
BENCH ?= runs/bench
bench: setup build/relay
	-$(BIN)/qemunet batch benchmarks/throughput.yaml --jobs 1 --runs-dir $(BENCH) $$([ -e $(BENCH)/throughput ] && echo --resume)
	$(BIN)/python benchmarks/comparison.py $(BENCH)/throughput

build/relay: benchmarks/relay.cc
	@mkdir -p build
	$(CXX) -std=c++20 -O2 -Wall -Wextra -o $@ $<

# Processor time of a frame between two machines, the native way beside the stock one, in turn; 5 min.
bench-qemu-frames: setup
	$(BIN)/python benchmarks/qemu_frames.py --output build/qemu-frames.json

# The paper's figures 6 and 7, and of QEMU guests, into runs/figures; SHORT=--short takes fewer points.
SHORT ?=
figures: setup
	$(BIN)/python benchmarks/figures.py $(SHORT)

# After a change of the ns-3 version, or of attributes in qemunet/native.
attributes: setup
	$(BIN)/python scripts/ns3_attributes.py

# After a change of the dependencies in pyproject.toml.
lock: setup
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/python -m piptools compile --quiet --extra dev --strip-extras --no-annotate --no-header \
	  --no-emit-index-url --no-emit-find-links --output-file requirements.new pyproject.toml
	(echo '# Every Python package of the set-up, pinned. Made by: make lock'; cat requirements.new) >requirements.lock
	rm requirements.new

clean:
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis
