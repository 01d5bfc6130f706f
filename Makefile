# SPDX-License-Identifier: BSD-2-Clause
# The commands of this project. CMake does the work; this file does the set-up before it and knows the options.
# `make help` lists them.

BUILD     ?= build
PREFIX    ?= /usr/local
TEST_JOBS ?= 2
SETUP     := build-tools/setup.sh
CONFIGURE := cmake -G Ninja -S . -Wno-dev --log-level=WARNING
CTEST     := ctest --output-on-failure -j $(TEST_JOBS)
# Thread sanitizer of gcc 12 cannot stand the address layouts of newer kernels.
SAME_ADDRESSES := $(shell setarch -R true 2>/dev/null && echo setarch -R)

.PHONY: all build demo demo-cluster check bench plots check-sanitize check-asan check-tsan check-static check-valgrind \
	fuzz deb check-deb format install clean help

all: build

demo: build ## one process shares a file's contents with another: every step, with its time
	@demo/run.sh $(BUILD)

demo-cluster: build ## the same between two nodes: namespaces for root, else two addresses of this host
	@demo/cluster.sh $(BUILD)

check: setup-check build ## build, all tests and fast static checks; ends by CTest's summary
	@cd $(BUILD) && $(CTEST)

# Tests need more packages than the product: they are configured for those who run them, and then stay.
TESTING := OFF
check bench check-valgrind: TESTING := ON

build: setup-build ## build only, into $(BUILD)/
	@if [ $(TESTING) = ON ] || [ ! -f $(BUILD)/build.ninja ]; then \
		$(CONFIGURE) -B $(BUILD) -DCMAKE_INSTALL_PREFIX=$(PREFIX) -DBUILD_TESTING=$(TESTING); fi
	@cmake --build $(BUILD)

.PHONY: setup-build setup-check setup-static setup-bench setup-fuzz setup-deb
setup-build:
	@$(SETUP) build
setup-check:
	@$(SETUP) build check
setup-deb:
	@$(SETUP) build deb
setup-static:
	@$(SETUP) build check static
setup-fuzz:
	@$(SETUP) build fuzz
setup-bench:
	@$(SETUP) build check bench

bench: setup-bench build ## speed and memory beside the raw limits of this machine (ARGS=--json)
	@$(BUILD)/tests/bench/bench $(ARGS)
	@[ -n "$(ARGS)" ] || tests/bench/datapath.sh $(BUILD)/tests/bench/bench

plots: setup-check build ## the pictures of doc/benchmarks.md, measured on this machine
	@build-tools/plots.sh $(BUILD)

check-sanitize: check-asan check-tsan ## the whole suite under address, undefined and thread sanitizers

check-asan: setup-check
	@$(CONFIGURE) -B $(BUILD)-asan "-DRSM_SANITIZE=address;undefined"
	@cmake --build $(BUILD)-asan
	@cd $(BUILD)-asan && UBSAN_OPTIONS=print_stacktrace=1 $(SAME_ADDRESSES) $(CTEST) -LE check

check-tsan: setup-check
	@$(CONFIGURE) -B $(BUILD)-tsan -DRSM_SANITIZE=thread
	@cmake --build $(BUILD)-tsan
	@# unit.lib.start: the thread sanitizer takes a child that shares our memory for the thread that made it.
	@cd $(BUILD)-tsan && TSAN_OPTIONS=die_after_fork=0 $(SAME_ADDRESSES) $(CTEST) -LE check -E unit.lib.start

check-static: setup-static ## clang with the same warnings, clang-tidy, cppcheck
	@$(CONFIGURE) -B $(BUILD)-clang -DCMAKE_C_COMPILER=clang-14
	@cmake --build $(BUILD)-clang
	@build-tools/analyse.sh $(BUILD)-clang

FUZZ_SECONDS ?= 60
fuzz: setup-fuzz ## strange frames and messages for FUZZ_SECONDS (60) each, under sanitizers
	@$(CONFIGURE) -B $(BUILD)-fuzz -DCMAKE_C_COMPILER=clang-14 -DRSM_FUZZ=ON "-DRSM_SANITIZE=address;undefined"
	@cmake --build $(BUILD)-fuzz --target fuzz_frame fuzz_peer
	@tests/fuzz/run.sh $(BUILD)-fuzz $(FUZZ_SECONDS)

check-valgrind: setup-static setup-check build ## the unit tests under valgrind
	@cd $(BUILD) && $(CTEST) -L unit -T memcheck --overwrite MemoryCheckCommand=/usr/bin/valgrind \
		--overwrite "MemoryCheckCommandOptions=-q --leak-check=full --error-exitcode=99"

format: setup-check ## format the sources
	@build-tools/check-format.sh --fix .

deb: setup-deb ## Debian packages, into build-deb/
	@build-tools/build-deb.sh $(BUILD)-deb

check-deb: setup-check deb ## the packages: lintian, and installed into an empty Debian 12 (as root)
	@tests/package/lint.sh $(BUILD)-deb
	@tests/package/install.sh $(BUILD)-deb

install: build ## install to $(DESTDIR)$(PREFIX)
	@cmake --install $(BUILD) --prefix $(PREFIX)
	@[ -n "$(DESTDIR)" ] || [ "$$(id -u)" != 0 ] || PATH="$$PATH:/usr/sbin:/sbin" ldconfig || \
		echo "install: ldconfig failed: programs may not find $(PREFIX)/lib/librsm.so.2 until it has run" >&2

clean: ## remove what was built
	@rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-tsan $(BUILD)-clang $(BUILD)-fuzz $(BUILD)-deb

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 18
