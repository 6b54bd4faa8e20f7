# Baigong 百工. `make` alone lists what there is.
.DEFAULT_GOAL := help
.PHONY: help up demo test model lint bench chaos lock token status reset clean venv venv-dev backup restore fuzz audit

PYTHON := .venv/bin/python

# Where `make backup` writes and `make restore` reads.
FILE ?= baigong.tar.gz

# USER is in every shell's environment; only `make token USER=…` means a demo user.
TOKEN_USER = $(if $(findstring command line,$(origin USER)),"$$USER",alice)

help: ## what you can type
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

up: venv ## run the whole platform until Ctrl-C
	@exec $(PYTHON) -m deploy.local up

demo: venv ## drive every path through the API of the running platform, or one: make demo PATHS=sale
	@exec $(PYTHON) -m deploy.local.demo $(PATHS)

token: venv ## print a token for a demo user: make token USER=alice
	@exec $(PYTHON) -m deploy.local token -- $(TOKEN_USER)

status: venv ## what runs and what does not
	@exec $(PYTHON) -m deploy.local status

test: venv-dev ## everything that proves it
	@$(PYTHON) -m pytest -n 4 --dist loadgroup -m 'not (crowd or thousands)'
	@$(PYTHON) -m pytest -n 2 -m crowd tests/stories
	@exec $(PYTHON) -m pytest -n 2 -m thousands tests/stories

model: venv-dev ## play each kind of path at random against its model, or one: make model GAMES=100 KIND=sale
	@BAIGONG_MODEL_EXAMPLES=$(or $(GAMES),20) $(PYTHON) -m pytest -n 2 -rP --timeout 0 \
		$(if $(KIND),tests/model/test_$(KIND).py,tests/model)

lint: venv-dev ## ruff, mypy, import layers
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy .
	@.venv/bin/lint-imports
	@$(PYTHON) -m deploy.docs --check || { echo 'docs are out of date: run python -m deploy.docs'; exit 1; }

audit: venv-dev ## known vulnerabilities of the locked dependencies; exit code 3 when nobody could be asked
	@exec $(PYTHON) -m deploy.audit

fuzz: venv-dev ## requests and webhooks nobody would write: make fuzz EXAMPLES=20 SEED=1 RUNS=200000
	@BAIGONG_FUZZ_EXAMPLES=$(or $(EXAMPLES),20) BAIGONG_FUZZ_SEED=$(or $(SEED),$(shell date +%s)) \
		$(PYTHON) -m pytest -s -n 0 tests/fuzz
	@exec $(PYTHON) -m tests.fuzz.parsers -runs=$(or $(RUNS),200000) $(if $(SEED),-seed=$(SEED))

bench: venv-dev ## how fast it is on this machine, or a part of it: make bench PARTS=ledger,api
	@exec $(PYTHON) -m tests.bench $(PARTS)

chaos: venv-dev ## kill everything while people trade and check the books: make chaos SEED=7 ROUNDS=10, or SHORT=1
	@exec $(PYTHON) -m tests.chaos --seed $(or $(SEED),1) $(if $(SHORT),--short,--rounds $(or $(ROUNDS),3))

LOCK := .venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header pyproject.toml

lock: venv-dev ## bring the lock files up to date with pyproject.toml: hashes, no addresses
	@$(LOCK) -o requirements.lock
	@$(LOCK) --group dev -c requirements.lock -o requirements-dev.lock

backup: venv ## copy everything the stopped platform has stored: make backup FILE=baigong.tar.gz
	@exec $(PYTHON) -m deploy.local backup -- "$(FILE)"

restore: venv ## put such a copy back where nothing is stored: make restore FILE=baigong.tar.gz
	@exec $(PYTHON) -m deploy.local restore -- "$(FILE)"

reset: venv ## delete everything the local platform has stored
	@exec $(PYTHON) -m deploy.local reset

clean: ## delete what can be made again; stored data stays
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist test-artifacts
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The first of these names that is there; bootstrap.py looks for a newer one if it is too old.
define bootstrap
@for python in python3 python3.13 python3.12 python3.11; do \
	if command -v $$python >/dev/null 2>&1; then exec $$python deploy/local/bootstrap.py $(1); fi; \
done; echo "baigong: python3 is missing: install Python 3.11 or newer" >&2; exit 1
endef

venv:
	$(call bootstrap,)

venv-dev:
	$(call bootstrap,--dev)
