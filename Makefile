# Thin: each target calls a script, which can be read and run by itself.

.DEFAULT_GOAL := help

CARGO ?= cargo

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  make run ONCE=1             leave after the table, with an exit code"
	@echo "  make install DESTDIR=dir    stage into dir (packagers); PREFIX, RADDBDIR, LIBDIR override what the server says"

.PHONY: setup
setup: ## Install the Debian packages that are missing, for building, running and testing
	scripts/setup test

.PHONY: build
build: ## Build the module and ispctl, optimized
	scripts/setup
	$(CARGO) build --release -p rlm_rust -p ispctl

.PHONY: run
run: ## Serve a demonstration with the real server, and show logins and accounting
	scripts/run

.PHONY: test
test: ## Format, lints, unit, store and packet tests on both databases
	scripts/test

.PHONY: soak
soak: ## Fifty rounds of starting and stopping under load, and the other long tests
	scripts/test soak

.PHONY: chaos
chaos: ## Kill the server a hundred times under accounting load, on both databases
	scripts/test chaos

.PHONY: scale
scale: ## Import 100,000 users from each kind of database into each
	scripts/test scale

.PHONY: openapi
openapi: ## Ask the HTTP API all that its document allows, and what it does not
	scripts/test openapi

.PHONY: chaos-netbox
chaos-netbox: ## Fifty workers take 2,000 addresses while NetBox is killed and its answers are lost
	scripts/test chaos-netbox

.PHONY: netbox-cost
netbox-cost: ## What an address costs beside a bare POST to the same NetBox
	scripts/test netbox-cost

.PHONY: fuzz
fuzz: ## Fuzz the RADIUS codec and the matching of answers, FUZZ seconds each; needs nightly and cargo-fuzz
	scripts/fuzz $(FUZZ)

.PHONY: valgrind
valgrind: ## Packets through the module under valgrind
	scripts/test valgrind

.PHONY: bench
bench: ## Compare with the stock files and sql modules
	scripts/setup test
	scripts/bench $(BENCH)

.PHONY: install
install: ## Put what "make build" built, and the configuration, into the system's FreeRADIUS
	scripts/install install

.PHONY: uninstall
uninstall: ## Undo "make install"
	scripts/install uninstall

.PHONY: clean
clean: ## Remove what was built and the demonstration's files
	$(CARGO) clean
	rm -rf run
