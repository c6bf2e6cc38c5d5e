# `make` lists the targets.
SWIFT_RELEASE := -c release --static-swift-stdlib -Xswiftc -enforce-exclusivity=unchecked
# Suites that depend on the kernel, and take minutes when emulated.
ELSEWHERE := LocalSandboxTests.(Limit|Group|Processor|HoldBack|Pause|Statistics)Tests
SWIFT_SOURCES := Sources Tests Benchmarks/Engine Package.swift
export PATH := $(CURDIR)/.build-tools/bin:$(PATH)

.PHONY: help setup build release test test-elsewhere check format bench-deploy bench-engine bench-e2b clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup: ## Install what the build and the tests need
	@scripts/setup --dev

build: setup ## Build for debugging
	swift build

release: ## Build berth, deploy and berth-agent for use
	swift build $(SWIFT_RELEASE) --product berth
	swift build $(SWIFT_RELEASE) --product deploy
	swift build $(SWIFT_RELEASE) --product berth-agent

check: setup ## Check the format
	swift format lint --strict --recursive --parallel $(SWIFT_SOURCES)

test: check ## Run every check and test
	swift build --build-tests
	@scripts/test

test-elsewhere: ## Run the engine's tests on an emulated machine with cgroup v2 and zram, as root and as a plain user
	@scripts/setup --dev
	swift build --build-tests
	@scripts/test-elsewhere '$(ELSEWHERE)'
	@scripts/test-elsewhere --user '$(ELSEWHERE)'

format: ## Format the sources
	swift format --in-place --recursive --parallel $(SWIFT_SOURCES)

bench-deploy: release ## Measure deploys, templates and the gateway against their references
	@scripts/setup --bench
	python3 Benchmarks/deploy.py --berth .build/release/berth

bench-engine: release ## Measure standbys and sandboxes against starting by hand
	@scripts/setup --bench
	swift build $(SWIFT_RELEASE) --product engine-bench
	python3 Benchmarks/deploy.py --berth .build/release/berth --only fghi --rounds 20

bench-e2b: release ## Measure the E2B server as the official SDK and curl see it
	@scripts/setup --bench
	python3 Benchmarks/deploy.py --berth .build/release/berth --only j

clean: ## Remove what was built
	[ ! -d .build ] || chmod -R u+w .build
	rm -rf .build .build-tools
