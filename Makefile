# make demo: install, run the quick suite with tuned recipes on embedded data, at its budget and at half of it, and two methods at their defaults, write the report.   make test: every check.   make gate: of these, the scores.
PYTHON ?= python3
CONSTRAINTS ?= constraints.txt
BIN := .venv/bin

.PHONY: demo test gate bench fuzz trust exports setup format

demo: setup
	$(BIN)/bench-uq run --suite quick-tuned
	$(BIN)/bench-uq run --suite quick-tuned --budget 0.5 --seeds 0,1
	$(BIN)/bench-uq run --suite quick --methods mean-field,mnf --seeds 0-2
	$(BIN)/bench-uq report --suite quick-tuned
	@echo
	@echo "page:     reports/quick-tuned/index.html"
	@echo "summary:  reports/quick-tuned/summary.md"
	@echo "tables:   reports/quick-tuned/tables/"
	@echo "figures:  reports/quick-tuned/figures/"

test: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest --numprocesses 3 --dist loadfile
	$(MAKE) gate

# The quick suite against the scores that were committed.
gate: setup
	$(BIN)/bench-uq run --device cpu --results .gate
	$(BIN)/bench-uq check --results .gate --baseline results/quick/baseline.csv --margins results/quick/margins.toml

# Speed on a CPU, side by side with other packages where they are installed: pip install -e '.[bench]'
bench: setup
	$(BIN)/python -m benchmarks.steps
	$(BIN)/python -m benchmarks.predict
	$(BIN)/python -m benchmarks.score
	$(BIN)/python -m benchmarks.scale
	$(BIN)/python -m benchmarks.attack --rounds 1
	$(BIN)/python -m benchmarks.overhead

# Of all tests those of what is promised when processes are killed, disks full, files damaged or hostile.
trust: setup
	$(BIN)/pytest --numprocesses 2 --dist loadfile tests/trust

# Exports, against the packages themselves and a local MLflow server. They have an environment of their own, which borrows
# from the other one, because MLflow's server asks for older versions of some packages.
exports: setup
	$(PYTHON) -m venv --without-pip .exports
	borrowed=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') && \
	  own=$$(.exports/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') && \
	  realpath "$$borrowed" > "$$own/borrowed.pth"
	$(BIN)/python -m pip --python .exports/bin/python install --quiet --constraint constraints-exports.txt mlflow pyarrow wandb
	$(BIN)/python -m pip --python .exports/bin/python install --quiet --no-deps --no-build-isolation --editable .
	.exports/bin/python -m pytest -m exports tests/report/test_exports.py

# Every reader of files and names of others, for SECONDS in all; what is found new is kept in fuzz/corpus/, which tests replay.
SECONDS ?= 600
fuzz: setup
	$(BIN)/pip install --quiet --constraint $(CONSTRAINTS) --editable '.[fuzz]'
	$(BIN)/python -m fuzz --seconds $(SECONDS)

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

setup: .venv/installed

.venv/installed: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint $(CONSTRAINTS) --editable '.[test]'
	touch $@
