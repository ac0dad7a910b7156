# Everything a newcomer needs: make demo, make test. See CONTRIBUTING.md.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
COMPLETE := $(VENV)/.complete

.PHONY: help setup demo test lint check-types check-layers pytest test-oldest test-gst test-docker bench clip clean

help:  ## This list.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup: $(READY)  ## Make .venv with posert in it (SYSTEM_OPENCV=1: use the system's OpenCV, as on Jetson).

$(READY): pyproject.toml scripts/setup.sh scripts/debian-packages.txt
	SYSTEM_OPENCV=$(SYSTEM_OPENCV) sh scripts/setup.sh $(VENV)
	@touch $@

# What only tests need and is large: TensorRT-RTX's builder, PyTorch.
$(COMPLETE): $(READY) scripts/large.txt
	$(BIN)/python -m pip --disable-pip-version-check -q install -c scripts/large.txt -e '.[rtx,train]'
	@touch $@

demo: $(READY)  ## The main job on the shipped clip: out/demo.mp4, out/demo.jsonl, out/demo.png.
	$(BIN)/posert run demo/walkers.mp4 -o out/demo.mp4 --jsonl out/demo.jsonl --contact-sheet out/demo.png

test: lint check-types check-layers pytest test-oldest test-gst  ## All that CI runs.

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	if [ -x $(BIN)/hadolint ]; then $(BIN)/hadolint Dockerfile; fi

check-types: $(READY)
	$(BIN)/mypy

check-layers: $(READY)
	$(BIN)/lint-imports

pytest: $(COMPLETE)
	POSERT_REQUIRE_RTX=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not gst"

test-oldest: $(VENV)-oldest/.ready  ## The tests once more, on the oldest OpenCV, NumPy and others that are supported.
	$(VENV)-oldest/bin/python -m pytest -n 2 --dist loadfile -m "not slow and not gst"

$(VENV)-oldest/.ready: pyproject.toml scripts/oldest.txt scripts/setup.sh
	CONSTRAINTS=scripts/oldest.txt sh scripts/setup.sh $(VENV)-oldest
	@touch $@

test-gst: $(VENV)-gst/.ready  ## The tests of GStreamer, with Debian's OpenCV and plug-ins (installed as root or by sudo).
	POSERT_REQUIRE_GST=1 $(VENV)-gst/bin/python -m pytest -m gst

$(VENV)-gst/.ready: pyproject.toml scripts/debian-packages-gst.txt scripts/requirements.py scripts/setup.sh
	PYTHON=/usr/bin/python3 SYSTEM_OPENCV=1 PACKAGES=scripts/debian-packages-gst.txt sh scripts/setup.sh $(VENV)-gst
	@touch $@

test-docker: $(READY)  ## The Dockerfile's cpu target, its steps run in a chroot (as root, with debootstrap).
	POSERT_REQUIRE_CHROOT=1 $(BIN)/python -m pytest tests/test_docker_chroot.py

bench: $(READY)  ## Time the parser, and a whole run against its ideal.
	$(BIN)/python bench/parse_maps.py
	$(BIN)/posert bench

clip: $(READY)  ## Render the shipped clip anew (20 minutes; installs anny, pyvista and torch).
	$(BIN)/pip install -q -e '.[render]'
	$(BIN)/python demo/render_walkers.py

clean:  ## Remove what was made.
	rm -rf $(VENV) $(VENV)-oldest $(VENV)-gst out .mypy_cache .pytest_cache .ruff_cache
