# Commands for people. Everything that is built or installed goes to the cache directory, outside the clone.
SHELL := /bin/bash
MILLPOND_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/millpond
export MILLPOND_CACHE
export CARGO_TARGET_DIR ?= $(MILLPOND_CACHE)/target

# kill -9 rounds, power cuts and simulated crash images of `make torture`.
KILLS ?= 500
CUTS ?= 200
IMAGES ?= 20000

.PHONY: help run demo demo-events demo-sql demo-tasks test pytest bench bench-access bench-events bench-functions bench-listing bench-patterns bench-sql bench-tables torture

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

run: ## build in release and serve ./millpond-data until Ctrl-C
	@scripts/run.sh $(ARGS)

demo: ## load the real flights, work with them, check every byte (ARGS='--endpoint ...' for a running server)
	@scripts/demo.sh $(ARGS)

demo-events: ## real flights, twenty rules, a killed server, and nothing missing (ARGS='--days 60')
	@scripts/demo-events.sh $(ARGS)

demo-sql: ## a crawler finds the real flights, ten questions in SQL, each answer compared with DuckDB's
	@scripts/demo-sql.sh $(ARGS)

demo-tasks: ## functions and a table rewrite real flights on time, while others read and the server is killed (ARGS='--days 60')
	@scripts/demo-tasks.sh $(ARGS)

test: ## set up what is needed and run every test
	@scripts/test.sh

pytest: ## only the black-box tests (ARGS='tests/test_copy.py -k onto')
	@scripts/pytest.sh $(ARGS)

bench: ## Millpond beside SeaweedFS, with this machine's own limits in the same run
	@scripts/bench.sh $(ARGS)

bench-access: ## cost of decisions and of encryption, beside the root user's plain requests
	@scripts/bench-access.sh $(ARGS)

bench-events: ## cost of messages and notifications, and the time to a waiting receiver
	@scripts/bench-events.sh $(ARGS)

bench-functions: ## cost of invocations beside a bare loop of the same interpreter, from a PUT to its handler, cold starts
	@scripts/bench-functions.sh $(ARGS)

bench-patterns: ## the matcher of event patterns: events a CPU second beside 100 k rules, and another matcher in the same run
	@. scripts/lib.sh && cargo_release run -p millpond-bench --features quamina -- patterns $(ARGS)

bench-listing: ## cost of a listing page: 10 k and 1 M objects, many versions, after deleting 99 %
	@scripts/bench-listing.sh $(ARGS)

bench-sql: ## CPU time of queries beside DuckDB in the same run, planning over many partitions, latency, memory (ARGS='--rows 1000000')
	@scripts/bench-sql.sh $(ARGS)

bench-tables: ## cost of items beside moto in the same run, and how fast items expire
	@scripts/bench-tables.sh $(ARGS)

torture: ## long crash tests: KILLS=500 CUTS=200 IMAGES=20000
	@KILLS=$(KILLS) CUTS=$(CUTS) IMAGES=$(IMAGES) scripts/torture.sh
