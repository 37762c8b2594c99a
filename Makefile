# make          what there is
# make demo     a real app on a real node on this machine (root, Linux)
# make test     everything CI runs

CARGO ?= cargo
BIN := target/release/cloudtool
DEMO_NODE := demo

.PHONY: help build demo demo-clean test test-all test-clouds test-data lint docs bench clean

help:
	@sed -n 's/^# make/make/p' Makefile

build:
	$(CARGO) build --release --locked

# make demo-clean   take away all that make demo made
demo: build
	scripts/demo $(BIN) $(DEMO_NODE)

demo-clean:
	@if [ -x $(BIN) ]; then $(BIN) destroy-node $(DEMO_NODE) --if-exists --yes; fi

# make lint     formatting and static checks of Rust, Python and shell
lint:
	scripts/install-test-tools
	scripts/install-cloud-servers moto
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets --test clouds -- -D warnings
	scripts/lint-node-code

test:
	scripts/install-test-tools
	scripts/test

# make test-all  the long tests, too, and all clouds
test-all:
	scripts/install-test-tools
	scripts/test all

# make test-clouds  the drivers of clouds, against servers of their APIs on the loopback
test-clouds:
	scripts/install-cloud-servers
	scripts/test-clouds

# make test-data  what is promised about data, in all sizes (root; hours)
test-data:
	scripts/install-test-tools
	scripts/install-cloud-servers moto
	scripts/test-data

# make bench    measure everything there is a goal for, beside its peers (root; half an hour)
bench: build
	python3 bench

# make docs     the book, to target/tmp/book; checks its links
docs:
	$(CARGO) test --locked --test book

clean:
	$(CARGO) clean
