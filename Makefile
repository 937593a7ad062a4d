# Commands for people. Everything that is built or installed goes to the cache directory, outside the clone.
SHELL := /bin/bash
MILLPOND_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/millpond
export MILLPOND_CACHE
export CARGO_TARGET_DIR ?= $(MILLPOND_CACHE)/target

# kill -9 rounds, power cuts and simulated crash images of `make torture`.
KILLS ?= 500
CUTS ?= 200
IMAGES ?= 20000

.PHONY: help run demo test pytest bench bench-access bench-listing torture

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

run: ## build in release and serve ./millpond-data until Ctrl-C
	cargo build --locked --release -p millpond
	@exec "$$CARGO_TARGET_DIR/release/millpond" run

demo: ## load the real flights, work with them, check every byte (ARGS='--endpoint ...' for a running server)
	@scripts/demo.sh $(ARGS)

test: ## set up what is needed and run every test
	@scripts/test.sh

pytest: ## only the black-box tests (ARGS='tests/test_copy.py -k onto')
	@scripts/pytest.sh $(ARGS)

bench: ## Millpond beside SeaweedFS, with this machine's own limits in the same run
	@scripts/bench.sh $(ARGS)

bench-access: ## cost of decisions and of encryption, beside the root user's plain requests
	@scripts/bench-access.sh $(ARGS)

bench-listing: ## cost of a listing page: 10 k and 1 M objects, many versions, after deleting 99 %
	@scripts/bench-listing.sh $(ARGS)

torture: ## long crash tests: KILLS=500 CUTS=200 IMAGES=20000
	@KILLS=$(KILLS) CUTS=$(CUTS) IMAGES=$(IMAGES) scripts/torture.sh
