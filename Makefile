# `make run` does the main job, `make test` passes the tests. Both set up .venv
# themselves, from the pins of pyproject.toml and envs/constraints.txt.
# Options for Snakemake:  make run ARGS="--configfile config/paper.yaml -n"

PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
# the environment's own programs first, also inside jobs
export PATH := $(BIN):$(PATH)
# a compiler for GPAW, which asks for "cc" by default
export CC := $(CXX)
ARGS ?=

RUN_GROUPS := driver dft torch report micrographs
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c envs/constraints.txt
# looks for what bars readers of a page (MPL-2.0; used by a test only)
AXE := 4.14.1
PINS := pyproject.toml envs/constraints.txt

.PHONY: help run figures run-slurm imaging validate test-set benchmark test test-install test-slow test-slurm test-kill test-fuzz test-browser test-export programs-browser programs-slurm docs models bench-micrographs acceptance bench-dft bench-denoise bench-imaging bench-workflow bench-relaxation bench-density bench-floor bench-training bench-verdict bench-implants ablation lint format lock config-reference formats-reference results-pages clean

help:  ## say what can be done here
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 18

run: $(VENV)/.run  ## run the main job: from graphene to results/report.html
	$(BIN)/python workflow/drive.py $(ARGS)

run-slurm: $(VENV)/.slurm  ## run it on a cluster with Slurm (profiles/slurm; docs/cluster.md)
	$(BIN)/python workflow/drive.py --workflow-profile profiles/slurm $(ARGS)

imaging: $(VENV)/.imaging  ## install what forms ADF and HRTEM images (abTEM; for config/adf.yaml)

figures: $(VENV)/.run  ## draw the figures anew from the stored results, computing nothing else
	$(BIN)/python workflow/drive.py figures --allowed-rules figures plot_figure --forcerun plot_figure $(ARGS)

validate: $(VENV)/.run  ## compare the ground truth with plane waves: results/validation.html
	$(BIN)/python workflow/drive.py validation $(ARGS)

test-set: $(VENV)/.run  ## compute the reference test set anew by DFT (hours on two cores)
	$(BIN)/python workflow/drive.py test_set --configfile config/test_set.yaml --directory build/test_set $(ARGS)
	cp build/test_set/results/reference/*.tif workflow/scripts/temdenoise/reference/

benchmark: $(VENV)/.run  ## judge models and rivals on it: docs/results/*.csv (ARGS="--run results": of a run, too)
	PYTHONPATH=workflow/scripts $(BIN)/python -W ignore -m temdenoise.cli benchmark -o docs/results $(ARGS)

test: $(VENV)/.test  ## pass the tests (at most 10 minutes on two cores)
	$(BIN)/python -m pytest $(ARGS)

test-install: $(VENV)/.test  ## install the package in an empty environment and do what the README says
	$(BIN)/python -m pytest -m install tests/installation $(ARGS)

test-slow: $(VENV)/.test  ## the tests that take longer: one environment per step, kill and go on
	$(BIN)/python -m pytest -m slow $(ARGS)

test-slurm: programs-slurm $(VENV)/.test $(VENV)/.slurm  ## send the tiny workflow through a real Slurm on this machine
	$(BIN)/python -m pytest -m slurm $(ARGS)

test-kill: $(VENV)/.test  ## kill a run five times and compare its numbers with an undisturbed one
	$(BIN)/python -m pytest -m kill $(ARGS)

test-fuzz: $(VENV)/.test  ## mutated files of every format: 2,000 through inspect, 50 through denoise
	$(BIN)/python -m pytest -m fuzz $(ARGS)

test-browser: programs-browser $(VENV)/.browser $(VENV)/.docs  ## open report and documents in Chromium: charts, print, accessibility
	TEMDENOISE_AXE=$(CURDIR)/$(VENV)/axe/axe.min.js $(BIN)/python -m pytest -m browser tests/browser $(ARGS)

test-export: $(VENV)/.export  ## models and images in ONNX Runtime, bioimageio.core and HyperSpy
	$(BIN)/python -m pytest -m export tests/export $(ARGS)

docs: $(VENV)/.docs  ## build the documents as a site: build/docs/index.html
	$(BIN)/mkdocs build --quiet

acceptance: run $(VENV)/.test  ## judge the results of `make run` by its targets, and print them
	$(BIN)/python -m pytest -m acceptance tests/acceptance

models: $(VENV)/.run  ## publish a finished run's universal model: make models RUN=<folder> NAME=adf
	@test -n "$(RUN)" -a -n "$(NAME)" || { echo "say which: make models RUN=<folder of a run> NAME=<name>" >&2; exit 1; }
	PYTHONPATH=workflow/scripts $(BIN)/python -W ignore -m temdenoise.cli publish $(RUN) --name $(NAME) $(ARGS)

bench-micrographs: $(VENV)/.run  ## score models on micrographs: make bench-micrographs ARGS="<folder> --model adf"
	$(BIN)/python -W ignore tests/benchmarks/score_micrographs.py $(ARGS)

bench-dft: $(VENV)/.run  ## time the pipeline against bare GPAW by number of atoms
	$(BIN)/python tests/benchmarks/bench_dft.py $(ARGS)

bench-denoise: $(VENV)/.run  ## time denoising and training against their bare passes, and memory
	$(BIN)/python -W ignore tests/benchmarks/bench_denoise.py $(ARGS)

bench-workflow: $(VENV)/.run  ## time a dry run of 10,000 structures, and the overhead per job
	$(BIN)/python tests/benchmarks/bench_workflow.py $(ARGS)

bench-imaging: $(VENV)/.imaging  ## cost and accuracy of ADF and HRTEM images
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore tests/benchmarks/bench_imaging.py

ablation: $(VENV)/.run  ## change one choice of the training at a time (after `make run`; half an hour)
	$(BIN)/python -W ignore tests/benchmarks/ablation.py $(ARGS)

lint: $(VENV)/.test  ## check style and types: ruff, mypy, snakefmt, snakemake --lint
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow/Snakefile workflow/rules
	$(BIN)/snakemake --lint

format: $(VENV)/.test  ## put style right
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow/Snakefile workflow/rules

lock: $(VENV)/.run  ## write the lock file with hashes from the pins (Linux x86_64, CPU)
	$(BIN)/python -m pip lock -c envs/constraints.txt $(RUN_GROUPS:%=--group %) --group imaging --group slurm --group test --group browser --group export --group docs \
	  -o $(VENV)/pylock.toml
	$(BIN)/python .ci/lock.py $(VENV)/pylock.toml > envs/lock-linux-x86_64-cpu.txt

config-reference: $(VENV)/.run  ## write the table of keys in config/README.md from the schema
	@$(BIN)/python -c 'import sys; sys.path.insert(0, "workflow/scripts"); \
	  from temdenoise.foundation.configuration import reference_table; \
	  text = open("config/README.md").read(); head = text.split("| key |")[0]; \
	  open("config/README.md", "w").write(head + reference_table() + "\n")'

results-pages: $(VENV)/.run  ## write the tables of docs/results.md from docs/results/*.csv
	$(BIN)/python tests/benchmarks/results_page.py

bench-floor: $(VENV)/.run  ## the floor: what an estimator loses that is told all but the disorder (15 minutes)
	$(BIN)/python -W ignore tests/benchmarks/bench_floor.py $(ARGS)

bench-training: $(VENV)/.run  ## three seeds of specialist and universal on equal terms (after `make run`; an hour)
	$(BIN)/python -W ignore tests/benchmarks/bench_training.py $(ARGS)

bench-verdict: $(VENV)/.run  ## how often the verdict is right, on simulated frames (at most 40 minutes)
	$(BIN)/python -W ignore tests/benchmarks/bench_verdict.py $(ARGS)

bench-relaxation: $(VENV)/.run  ## displacements around defects; ARGS="--dft graphene:vacancies" beside those by DFT forces
	$(BIN)/python -W ignore tests/benchmarks/bench_relaxation.py $(ARGS)

bench-density: $(VENV)/.run  ## a run's learned density against DFT on the reference test set (after `make run`; a minute)
	$(BIN)/python -W ignore tests/benchmarks/bench_density.py $(ARGS)

bench-implants: $(VENV)/.run  ## what denoisers keep of planted atoms: make bench-implants ARGS="<frame> --sampling 0.12 --kind adf"
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore tests/benchmarks/bench_implants.py $(ARGS)

formats-reference: $(VENV)/.run  ## write the table of formats in docs/micrographs.md
	@$(BIN)/python -c 'import re, sys; sys.path.insert(0, "workflow/scripts"); \
	  from temdenoise.micrographs.formats import reference_table; \
	  text = open("docs/micrographs.md").read(); \
	  table = reference_table() + "\n"; \
	  text = re.sub(r"(?m)^\| format \|.*\n(\|.*\n)*", lambda _: table, text, count=1); \
	  open("docs/micrographs.md", "w").write(text)'

clean:  ## remove results and Snakemake's own records (not the environment)
	find results -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +
	rm -rf .snakemake

# what the slower suites need that is no Python package; root on Debian installs it where it is missing
programs-browser:
	$(call programs,chromium=chromium chromedriver=chromium-driver npm=npm)
	@mkdir -p $(VENV)/axe && cd $(VENV)/axe && { test -f axe-core-$(AXE).tgz || npm pack --silent axe-core@$(AXE); } && \
	  tar -xzf axe-core-$(AXE).tgz --strip-components=1 package/axe.min.js package/LICENSE

programs-slurm:
	$(call programs,munged=munge slurmctld=slurm-wlm slurmd=slurm-wlm)

# PROGRAM=PACKAGE ...: what is missing, and no more, since a program may come from elsewhere
define programs
	@missing() { for pair in $(1); do command -v "$${pair%%=*}" >/dev/null || echo "$${pair#*=}"; done | sort -u; }; \
	  [ -z "$$(missing)" ] || [ "$$(id -u)" != 0 ] || \
	  { apt-get update -q && apt-get install -yq --no-install-recommends $$(missing); } || true; \
	  [ -z "$$(missing)" ] || { echo "Needed; on Debian: apt-get install" $$(missing) >&2; exit 1; }
endef

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.11 ..." >&2; exit 1; }
	@command -v $(CXX) >/dev/null || { echo "A C++ compiler is needed to build GPAW (looked for: $(CXX))" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip==26.3"

$(VENV)/.run: $(VENV)/bin/python $(PINS)
	@echo "Installing the pinned packages into $(VENV) (a minute or two, once)"
	$(INSTALL) $(RUN_GROUPS:%=--group %)
	@touch $@

$(VENV)/.slurm: $(VENV)/.run
	$(INSTALL) --group slurm
	@touch $@

$(VENV)/.imaging: $(VENV)/.run
	$(INSTALL) --group imaging
	@touch $@

$(VENV)/.test: $(VENV)/.imaging
	$(INSTALL) --group test
	@touch $@

$(VENV)/.docs: $(VENV)/bin/python $(PINS)
	$(INSTALL) --group docs
	@touch $@

$(VENV)/.export: $(VENV)/.test
	$(INSTALL) --group export
	@touch $@

$(VENV)/.browser: $(VENV)/.test
	$(INSTALL) --group browser
	@touch $@
