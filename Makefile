# `make` lists the targets. ARGS passes more arguments to a target: make serve ARGS="--port 9000"
.DEFAULT_GOAL := help
.PHONY: help serve test test-fast check fix data train train-sentiment train-intents train-sentiment-zh bench bench-peers bench-quality image up down
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
BUILD ?=
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-15s%s\n", $$1, $$2 }' Makefile

serve: $(VENV)/.serve ## serve the bundles of this repository on http://127.0.0.1:8000
	@$(BIN)/heed serve $(ARGS)

# Branch coverage of heed, model and service in per cent, child processes included. In CI a lower
# figure fails.
COVERAGE := 95

test: $(VENV)/.dev ## run all tests and report the branch coverage
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report $(if $(filter true,$(CI)),--fail-under=$(COVERAGE))

test-fast: $(VENV)/.dev ## run the tests that take no training, browser, container or several processes
	@$(BIN)/pytest --numprocesses 2 --dist loadfile -m "not slow and not browser and not container" $(ARGS)

check: $(VENV)/.dev ## check format, lint, types, shell scripts and the Dockerfile
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/shellcheck .ci/run findings/*.sh
	$(BIN)/hadolint Dockerfile

fix: $(VENV)/.dev ## format the code and apply the linter's fixes
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

DATA ?= $(if $(wildcard ../shared/data),../shared/data,data)
ENCODER ?= sentence-transformers/all-MiniLM-L6-v2

data: $(VENV)/.dev ## download the public data sets of the three bundles to data/, for `make train`
	$(BIN)/python -m scripts.fetch_data data

train: train-sentiment train-intents train-sentiment-zh ## train the bundles sentiment, intents and sentiment-zh from DATA and ENCODER

runs/imdb_dev.csv.gz: $(DATA)/imdb/train.csv.gz | $(VENV)/.dev
	$(BIN)/python -m scripts.hold_out $< 1000 $@

train-sentiment: runs/imdb_dev.csv.gz
	$(BIN)/heed train $(DATA)/sst2/train_phrases.csv.gz $(DATA)/imdb/train.csv.gz \
	  --dev $(DATA)/sst2/dev.csv.gz --dev $< \
	  --test $(DATA)/sst2/test.csv.gz --name sentiment --version 3.5.0 \
	  --data-name "SST-2 phrases (Socher et al. 2013) and IMDB reviews (Maas et al. 2011)" \
	  --terms "no licence stated for either; weights trained on them are widely published. The encoder, sentence-transformers/all-MiniLM-L6-v2, is under Apache-2.0" \
	  --init-embeddings $(ENCODER) --teacher $(ENCODER) \
	  --checkpoint runs/sentiment --out bundles/sentiment --force $(ARGS)

train-intents: $(VENV)/.dev
	$(BIN)/heed train $(DATA)/clinc150/train.csv.gz \
	  --dev $(DATA)/clinc150/dev.csv.gz --test $(DATA)/clinc150/test.csv.gz --name intents --version 3.5.0 \
	  --data-name "CLINC150 (Larson et al. 2019)" \
	  --terms "CC BY 3.0. The encoder, sentence-transformers/all-MiniLM-L6-v2, is under Apache-2.0" \
	  --init-embeddings $(ENCODER) --teacher $(ENCODER) \
	  --out-of-scope $(DATA)/clinc150/oos_dev.csv.gz \
	  --checkpoint runs/intents --out bundles/intents --force $(ARGS)

train-sentiment-zh: $(VENV)/.dev
	$(BIN)/heed train $(DATA)/chnsenticorp/train.csv.gz \
	  --dev $(DATA)/chnsenticorp/dev_clean.csv.gz --test $(DATA)/chnsenticorp/test_clean.csv.gz \
	  --name sentiment-zh --version 3.5.0 --data-name "ChnSentiCorp (Tan and Zhang 2008)" \
	  --terms "no licence stated; weights trained on it are widely published" \
	  --checkpoint runs/sentiment-zh --out bundles/sentiment-zh --force $(ARGS)

bench: $(VENV)/.dev ## measure the speed that the README claims; needs wrk and two cores
	$(BIN)/python -m benchmarks.speed $(ARGS)

PEERS := fastapi litserve bentoml rayserve

bench-peers: $(VENV)/.dev $(PEERS:%=.venv-peers/%/.installed) ## compare the speed with other servers
	$(BIN)/python -m benchmarks.peers --plot docs/peers.svg $(ARGS)

bench-quality: $(VENV)/.dev ## compare the quality with other classifiers, on the data sets in DATA
	$(BIN)/pip install --quiet --constraint constraints.txt --requirement benchmarks/quality/requirements.txt
	$(BIN)/python -m benchmarks.quality --data $(DATA) --encoder $(ENCODER) $(ARGS)

.venv-peers/%/.installed: benchmarks/peers/servers/%.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --requirement $<
	@touch $@

image: ## build the container image heed:local; BUILD="--network host" where builds need it
	docker build --tag heed:local $(BUILD) .

up: image ## build the image, start the container and wait until it is healthy
	docker compose up --detach --no-build --wait $(ARGS)

down: ## stop and remove the container
	docker compose down $(ARGS)

# A stamp file is written after an installation, so an unchanged checkout installs nothing.
# `.dev` includes everything of `.serve`.
$(VENV)/.serve: pyproject.toml constraints.txt | $(BIN)/pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,train]'
	@touch $(VENV)/.serve $@

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Heed needs Python 3.11 or newer, \
	this is %d.%d; choose another one, such as make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
