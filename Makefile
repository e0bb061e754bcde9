# demo: the main job on one machine.   test: everything that must hold, on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SECONDS ?=

.PHONY: demo test gate bench clean

demo: $(VENV)/.hil
	$(BIN)/dergate demo $(if $(SECONDS),--seconds $(SECONDS))

test: system-packages $(VENV)/.dev
	$(MAKE) --no-print-directory gate

gate: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 4 --dist loadgroup $(ARGS)

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

$(VENV)/.hil: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[hil]'
	touch $@

$(VENV)/.dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@ $(VENV)/.hil

# Foreign peers of the tests: a broker and its clients, a Modbus library in C with its compiler.
APT_PACKAGES := mosquitto mosquitto-clients libmodbus-dev gcc pkg-config openssl
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: system-packages
system-packages:
	@dpkg -s $(APT_PACKAGES) >/dev/null 2>&1 || { \
	  $(SUDO) apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $(APT_PACKAGES); }

clean:
	rm -rf $(VENV) build dist
