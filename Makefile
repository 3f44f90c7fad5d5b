# The two commands of the README, and their smaller parts. Needs git, make and Python 3.10 or newer;
# PYTHON=... names one that is not python3.
PYTHON ?=
VENV ?= .venv
# Tests that run at once: two a core, because many wait for a daemon.
JOBS ?= $(shell expr 2 \* $$(getconf _NPROCESSORS_ONLN))
# COVERAGE=--cov measures line coverage, with the floor of pyproject.toml; processes that tests start
# are not counted.
COVERAGE ?=
BIN := $(VENV)/bin
export PYTHON

# One after the other: they share the environment and the built engines.
.NOTPARALLEL:
.PHONY: demo dashboard-demo dashboard-test rooms-test brokers-test test test-faults test-install test-train dicom-test documents-test archive-test deb bundle package-test arm64-test sbom bench-guard bench-scaling lint \
	docs site clean

$(VENV)/.demo: pyproject.toml constraints.txt .ci/venv
	.ci/venv $(VENV) demo,keras,evaluate
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt .ci/venv
	.ci/venv $(VENV) demo,dev,keras,evaluate
	@touch $@

$(VENV)/.dashboard: pyproject.toml constraints.txt .ci/venv
	.ci/venv $(VENV) demo,evaluate,keras,dashboard
	@touch $@

$(VENV)/.site: pyproject.toml constraints.txt .ci/venv
	.ci/venv $(VENV) site
	@touch $@

# Sets up, then shows the main job end to end: films dropped in a folder become scores on MQTT.
# Where OpenVINO is installed, the engines are tuned first, once (some minutes).
demo: $(VENV)/.demo
	$(BIN)/sharpedge export
	if $(BIN)/python -c 'import openvino' 2>/dev/null && [ ! -f engines/built/tuned.json ]; then \
		$(BIN)/sharpedge tune; fi
	$(BIN)/sharpedge demo
	@echo "next: make dashboard-demo shows the clinic's dashboard with three simulated rooms"

# Serves the clinic's dashboard with a broker and three simulated rooms on this machine until Ctrl-C.
dashboard-demo: $(VENV)/.dashboard
	$(BIN)/sharpedge export
	$(BIN)/sharpedge dashboard demo

# The dashboard's long checks (about 10 minutes): 100 kills between storing and answering, 100,000 results,
# browsers, axe-core from npm; keeps its table under benchmarks/results/. A short form runs in `make test`.
dashboard-test: $(VENV)/.dev
	SHARPEDGE_DASHBOARD=full $(BIN)/python -m pytest tests/dashboard --timeout 1800

# A thousand simulated devices at one dashboard on PostgreSQL, 100,000 results, and ten dashboards that share the load
# while they are killed (half an hour, 2 GiB of memory and disk); keeps its table under benchmarks/results/. A short form
# runs in `make test`. Needs mosquitto and postgresql.
rooms-test: $(VENV)/.dev
	SHARPEDGE_ROOMS=full $(BIN)/python -m pytest tests/dashboard/test_simulated_load.py -n 0

# The contract and the faults of brokers against Mosquitto, RabbitMQ and NATS, and a bridge whose line is down for a day
# (about 10 minutes); keeps its table under benchmarks/results/. A short form runs in `make test`. Needs mosquitto,
# rabbitmq-server and nats-server.
brokers-test: $(VENV)/.dev
	SHARPEDGE_BROKERS=full $(BIN)/python -m pytest tests/brokers -n 0

# Sets up and passes the tests; installs no torch.
test: $(VENV)/.dev
	$(BIN)/sharpedge export
	$(BIN)/python -m pytest -m 'not training and not faults and not install and not package and not arm64 and not archive' -n $(JOBS) --dist worksteal \
		$(COVERAGE)

# The fault suite at its full size (about 40 minutes); keeps its table under benchmarks/results/.
# A short form of it runs in `make test`. Needs Mosquitto; mounts small disks where it is root.
# FAULTS=--long streams films for ten minutes and soaks for an hour.
FAULTS ?=
test-faults: $(VENV)/.dev
	SHARPEDGE_FAULTS=full $(BIN)/python -m pytest tests/faults --timeout 7200 $(FAULTS)

# Follows systemd/README.md on a fresh Debian 12 with packages, wheels and engines for real (about 5
# minutes, 2 GiB of memory); keeps its table under benchmarks/results/. A short form runs in
# `make test`. Needs root, debootstrap and a network; systemd itself is not at work.
test-install: $(VENV)/.dev
	SHARPEDGE_INSTALL=full $(BIN)/python -m pytest tests/test_install.py -m install --timeout 3600

# One Debian package for each release, each made in a clean root of that release (about 3 minutes
# each). Needs root, mmdebstrap and a network; see docs/install.md.
RELEASES ?= bookworm trixie
ARCHITECTURE ?= $(shell dpkg --print-architecture)
deb:
	for release in $(RELEASES); do \
		packaging/build-deb $$release build/packages $(ARCHITECTURE) || exit 1; done

# The same packages, each with all that a bare box without a network needs, in one .tar.
bundle: deb
	for release in $(RELEASES); do \
		packaging/build-bundle $$release build/packages build/bundles $(ARCHITECTURE) || exit 1; done

# What this environment consists of, model files included, as CycloneDX.
sbom: $(VENV)/.demo
	mkdir -p build
	$(BIN)/sharpedge licenses --sbom >build/sbom.cdx.json

# Builds the packages and bundles, then installs, upgrades, downgrades, removes and purges them in bare roots without a
# network (about 15 minutes, 3 GiB of memory); keeps its table under benchmarks/results/.
package-test: $(VENV)/.dev bundle
	$(BIN)/python -m pytest tests/packaging -m package --timeout 3600

# The packages for arm64 in emulated roots of Debian, and wheels for the Pythons of JetPack (about 40
# minutes); keeps its table under benchmarks/results/. Needs qemu-user-static too.
arm64-test: $(VENV)/.dev
	$(BIN)/sharpedge export
	$(MAKE) deb ARCHITECTURE=arm64
	$(BIN)/python -m pytest tests/packaging/test_arm64.py -m arm64 --timeout 5400

# 200 results of all kinds as documents, judged by dciodvfy, dsrdump, PixelMed's validator, the library
# of a viewer and the JSON schema of FHIR (half an hour on two busy cores); keeps its table under benchmarks/results/.
# A short form runs in `make test`. Needs dcmtk, pixelmed-apps, default-jdk-headless, nodejs and npm.
documents-test: $(VENV)/.dev
	SHARPEDGE_DOCUMENTS=full $(BIN)/python -m pytest tests/edge/outputs/test_dicom_sr_validators.py \
		tests/edge/outputs/test_dicom_sr_viewers.py tests/edge/outputs/test_fhir_schema.py \
		--timeout 3600

# 1,000 films by C-STORE from 4 associations while receiver and appliance are killed 20 times, and
# documents to Orthanc while the appliance is killed and Orthanc goes away; keeps its tables under
# benchmarks/results/. A short form runs in `make test`. Needs orthanc and orthanc-dicomweb.
dicom-test: $(VENV)/.dev
	SHARPEDGE_DICOM=full $(BIN)/python -m pytest tests/edge/daemon/test_appliance_received.py -k killed
	SHARPEDGE_PACS=full $(BIN)/python -m pytest tests/edge/daemon/test_appliance_pacs.py

# An archive of 2,000 films whose run is killed ten times, and the same films on a local Ray cluster
# (about 40 minutes); keeps its table under benchmarks/results/. A short form runs in `make test`.
archive-test: $(VENV)/.dev
	$(BIN)/sharpedge export
	$(BIN)/python -c 'import ray' 2>/dev/null || $(BIN)/python -m pip --quiet install 'ray[data]>=2.54,<2.64'
	$(BIN)/python -m pytest tests/sharpedge/archive -m 'archive or not archive' --timeout 7200

# The training package's tests; installs torch where it is missing.
test-train: $(VENV)/.dev
	$(BIN)/python -c 'import torch' 2>/dev/null || $(BIN)/python -m pip --quiet install torch==2.13.0
	$(BIN)/sharpedge export
	$(BIN)/python -m pytest -m training -n $(JOBS) --dist worksteal

# Are engines and pipeline slower than in the last runs on this kind of machine? Ratios to a fixed
# computation, kept in benchmarks/results/history.jsonl. GUARD=--accept takes slower ones as normal.
GUARD ?=
bench-guard: $(VENV)/.dev
	$(BIN)/sharpedge export
	$(BIN)/python -m benchmarks.guard $(GUARD)

# Throughput against the arrival rate with one and two workers, and latency against the rows in the
# journal, up to a million (about 8 minutes, 3 GiB of disk); keeps its report under
# benchmarks/results/scaling/. On a quiet machine.
bench-scaling: $(VENV)/.dev
	$(BIN)/sharpedge export
	$(BIN)/sharpedge bench scaling --out benchmarks/results/scaling

# On Python 3.11 or newer: numpy for 3.10 has other stubs than those the code is checked against.
lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# Builds the documentation site in build/site; a link that leads nowhere is an error.
site: $(VENV)/.site
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -b html docs build/site

# Writes the generated pages of docs/.
docs: $(VENV)/.dev
	$(BIN)/python -m sharpedge.docs docs
	$(BIN)/python -m training.run.model_cards docs/models.md

clean:
	rm -rf $(VENV) build dist *.egg-info demo-out engines/built
