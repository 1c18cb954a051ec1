# crannog: what a person types. Meson and Ninja do the building, below build/; `make help` lists the targets.
# Each target first gets the Debian packages that it needs and that are missing (tools/need).

BUILD := build
PREFIX ?= /usr/local
MODEL := $(BUILD)/model/smollm2-135m-instruct-q4_1.gguf
CRANNOG := $(BUILD)/src/crannog -C $(BUILD)/crannog

.DEFAULT_GOAL := help
.PHONY: help build run test lint bench liveable fuzz sim install clean
.NOTPARALLEL:

help:
	@echo 'make run      build, get a small model and thirty documents, and review them (examples/review/PLAN.md)'
	@echo 'make test     build in three ways and run every test; the last line counts them'
	@echo 'make build    only build, into $(BUILD)/src'
	@echo 'make lint     check that folders include only what lies below them'
	@echo 'make bench    measure, beside other programs; the table is bench/README.md'
	@echo 'make liveable  run other people'"'"'s test suites inside and outside, side by side (downloads)'
	@echo 'make fuzz     fuzz every parser of outside bytes for a minute each'
	@echo 'make sim      simulate crashes and lying disks, from one seed'
	@echo 'make install  to PREFIX, $(PREFIX) unless told'
	@echo 'make clean    remove what was built; the model and your runs stay'

# build.ninja appears by a rename, so a set-up that was killed begins anew.
build:
	@tools/need run
	@test -f $(BUILD)/build.ninja || { rm -rf $(BUILD)/meson-private $(BUILD)/meson-info && meson setup $(BUILD) . ; }
	@ninja -C $(BUILD)

run: build
	@tools/model-get $(dir $(MODEL))
	@tools/sources-get examples/review/sources
	@test -e $(BUILD)/crannog/.model-got || { $(CRANNOG) model get $(MODEL) && touch $(BUILD)/crannog/.model-got; }
	@$(CRANNOG) run examples/review/PLAN.md

# The count is printed last, whatever happened, because CI reads it.
test:
	@tools/need test || { echo '0 passed, 1 failed'; exit 1; }
	@python3 tests/run

lint:
	@tools/lint-includes

bench:
	@tools/need bench
	@$(MAKE) --no-print-directory build
	@bench/run

liveable:
	@tools/need liveable
	@$(MAKE) --no-print-directory build
	@tests/liveable/run

fuzz:
	@tools/need test
	@FUZZ_SECONDS=60 python3 tests/run fuzz

sim:
	@tools/need test
	@SIM_SECONDS=$${SIM_SECONDS:-300} python3 tests/run sim

install: build
	@meson configure $(BUILD) --prefix '$(abspath $(PREFIX))'
	@meson install -C $(BUILD)

clean:
	@test ! -f $(BUILD)/build.ninja || ninja -C $(BUILD) clean
	@rm -rf build-test
