# sori: everything a user or a developer runs starts here. `make help` lists the targets.
CARGO = scripts/cargo
PEERS = .cache/venv/bin/python tests/interop/run.py
# Arguments for the tools: make interop ARGS="call-sori-baresip-udp", make run ARGS="--sip udp:0.0.0.0:5070"
ARGS =

# The steps of `make test` stand in this order, and two cores gain nothing from running them side by side.
.NOTPARALLEL:
.PHONY: help run test lint unit checked browser interop bench fuzz setup-run setup-test release
.DEFAULT_GOAL := help

help:
	@echo 'make run      install what is missing, build, start the server and say how to make the first call; ARGS="..." goes to sori serve'
	@echo 'make test     install what the tests need and run them all'
	@echo 'make lint     formatting and clippy'
	@echo 'make unit     tests of the crates and of the documentation'
	@echo 'make checked  real peers against the build that the unit tests use, as in make test'
	@echo 'make browser  the console in headless Chromium against a server that is really there (installs both)'
	@echo 'make interop  the same against the release build; ARGS="NAME..." selects, ARGS=--list lists'
	@echo 'make bench    cost per call against Kamailio in the same run (see bench/compare --help)'
	@echo 'make fuzz     each fuzz target for a minute; SECONDS_EACH=600 for longer'

run: setup-run
	@$(CARGO) build --release --bin sori
	@exec target/release/sori serve $(ARGS)

test: setup-test lint unit checked

# Newer toolchains know more lints: those are shown there, and are errors only with the one that the code was checked with.
LINTED_WITH = 1.95
lint:
	@$(CARGO) fmt --all --check
	@if $(CARGO) --version | grep -q '^cargo $(LINTED_WITH)\.'; then $(CARGO) clippy --workspace --all-targets -- -D warnings; \
	else $(CARGO) clippy --workspace --all-targets; fi

unit:
	@if $(CARGO) nextest --version >/dev/null 2>&1; then $(CARGO) nextest run --workspace --no-fail-fast; \
	else $(CARGO) test --workspace --lib --bins --tests --no-fail-fast; fi
	@$(CARGO) test --workspace --doc

# With overflow and assertions checked, and without another build: `make test` meets the peers with what the unit tests are made of.
checked:
	@$(CARGO) build --bin sori
	@$(PEERS) --binary target/debug/sori $(ARGS)

# Chromium is large, and the only thing here that needs it: these tests are asked for by name.
browser:
	@scripts/setup browser
	@$(CARGO) build --bin sori
	@cd tests/web && npm ci --ignore-scripts --no-audit --no-fund && SORI_BINARY=$(CURDIR)/target/debug/sori npm test

interop: release
	@$(PEERS) $(ARGS)

bench: release
	@bench/compare $(ARGS)

fuzz: setup-run
	@scripts/fuzz $(ARGS)

release:
	@$(CARGO) build --release --bin sori

setup-run:
	@scripts/setup run

setup-test:
	@scripts/setup test
