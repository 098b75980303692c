# SPDX-License-Identifier: GPL-2.0
#
# `make help` lists the targets.  With KDIR= this builds an ordinary out-of-tree
# module.  Without, everything is built in the root of the cache (tools/vm/setup),
# and the module for the test kernels found there.

TOE_CACHE ?= $(HOME)/.cache/toe
export TOE_CACHE
tree := $(CURDIR)
in_root := tools/vm/in-root
cargo := $(in_root) -C tools cargo

# kbuild KERNEL-BUILD-TREE OUTPUT-DIRECTORY: LLVM=1 where the kernel was built by clang
kbuild = $(MAKE) -C $(1) M=$(tree) MO=$(2) \
	$(if $(shell grep -s CONFIG_CC_IS_CLANG=y $(1)/include/config/auto.conf),LLVM=1)
in_root_kbuild = $(in_root) nice -n 10 make --no-print-directory -j$(shell nproc) \
	-C $(TOE_CACHE)/kernel-$(1) M=$(tree) MO=$(tree)/out/build/$(2) $(if $(filter debug,$(1)),LLVM=1)

.PHONY: all module module-debug tools modules_install setup demo bench check soak shell fuzz \
	lint layers format format-check clean help

all: module tools

ifdef KDIR
module:
	@mkdir -p out/build/kdir
	$(call kbuild,$(KDIR),$(tree)/out/build/kdir) modules

modules_install: module
	$(call kbuild,$(KDIR),$(tree)/out/build/kdir) modules_install
else
module:
	@tools/vm/setup release
	@mkdir -p out/build/release
	@$(call in_root_kbuild,release,release) modules

modules_install: module
	@$(call in_root_kbuild,release,release) $(if $(INSTALL_MOD_PATH),INSTALL_MOD_PATH=$(abspath $(INSTALL_MOD_PATH)),$(error \
		without KDIR= the module is for the test kernel: set INSTALL_MOD_PATH= to its destination)) modules_install
endif

module-debug:
	@tools/vm/setup debug
	@mkdir -p out/build/debug
	@$(call in_root_kbuild,debug,debug) modules

tools:
	@tools/vm/setup root
	@$(cargo) build --release --workspace

setup:
	@tools/vm/setup

demo: module tools
	@tools/vm/demo

bench: module tools
	@tools/vm/bench
	@tools/vm/run --topology host -- selftests/run goodput
	@$(in_root) -C tools bench/engine.sh

# Built as cargo-fuzz does without a sanitizer: the engine has no unsafe code.
FUZZ_SECONDS ?= 60
fuzz:
	@tools/vm/setup root
	@$(in_root) -C tools/engine/fuzz ./run $(FUZZ_SECONDS)

check:
	@.ci/run

soak:
	@.ci/run soak

shell: module tools
	@tools/vm/run $(RUN)

# A separate clean build: clippy reports only what it compiles.
lint:
	@tools/vm/setup release
	@rm -rf out/build/clippy && mkdir -p out/build/clippy
	@$(call in_root_kbuild,release,clippy) CLIPPY=1 KRUSTFLAGS=-Dwarnings modules
	@$(cargo) clippy --workspace --all-targets -- -D warnings
	@$(in_root) tools/vm/lint
	@tools/vm/uapi --check

# Part of lint.
layers:
	@tools/vm/layers

format:
	@tools/vm/setup source
	@tools/vm/format

format-check:
	@tools/vm/setup source
	@tools/vm/format --check

clean:
	@rm -rf out/build tools/target

help:
	@echo 'Build'
	@echo '  all (default)    module and tools'
	@echo '  module           out/build/release/toe.ko, for the release test kernel'
	@echo '  module-debug     out/build/debug/toe.ko, for the debug test kernel'
	@echo '  module KDIR=DIR  out/build/kdir/toe.ko, for any Rust-enabled 7.3 build tree'
	@echo '  modules_install  installs the module (KDIR=, INSTALL_MOD_PATH= as usual)'
	@echo '  tools            toe-device, toectl, toe-stream, libtoe_count.so: tools/target/release'
	@echo '  clean            removes out/build and tools/target'
	@echo 'Use'
	@echo '  demo             iperf3 and HTTP over delegated connections, with figures'
	@echo '  bench            guest instructions compared with virtio-net; engine benchmarks'
	@echo '  shell            a shell in the guest (RUN="--topology host" for more: tools/vm/run -h)'
	@echo 'Check'
	@echo '  check            format, lint and all tests on both kernels (.ci/run)'
	@echo '  soak             the same with every selftest everywhere, and longer fuzzing: hours'
	@echo '  fuzz             fuzzes the engine with hostile frames for FUZZ_SECONDS=$(FUZZ_SECONDS)'
	@echo '  lint, format     clippy, shellcheck, layers, documents; rustfmt (format-check only checks)'
	@echo '  layers           order of the Rust files of the module, no import cycles'
	@echo 'Test bed'
	@echo '  setup            root, kernel source, kernels and kernel tests in TOE_CACHE=$(TOE_CACHE)'
	@echo '                   (every target does what it needs; KSRC= for another kernel source)'
