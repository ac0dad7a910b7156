#!/bin/sh
# Makes a virtual environment with posert in it:  scripts/setup.sh .venv
#   PYTHON=python3.11   the interpreter to use
#   SYSTEM_OPENCV=1     use the system's OpenCV and NumPy (Jetson, Debian): pip installs neither
#   PACKAGES=FILE       Debian packages to install first; Jetson has its own
#   CONSTRAINTS=FILE    versions that pip must take
set -eu
cd "$(dirname "$0")/.."
venv=$1
python=${PYTHON:-python3}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
        echo "setup: the Debian packages $packages are needed; as root: apt-get install $packages" >&2
        exit 1
    fi
}

install_debian() {
    packages=$(grep -v '^#' "$1" | tr '\n' ' ')
    as_root apt-get update -qq
    # shellcheck disable=SC2086  # a list of packages
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
}

all_installed() {
    # shellcheck disable=SC2046  # a list of packages
    dpkg -s $(grep -v '^#' "$1") >/dev/null 2>&1
}

# Debian splits ensurepip off into python3-venv.
"$python" -c 'import ensurepip' 2>/dev/null || install_debian scripts/debian-packages.txt
if [ -n "${PACKAGES:-}" ] && ! all_installed "$PACKAGES"; then install_debian "$PACKAGES"; fi

rm -rf "$venv"
if [ -n "${SYSTEM_OPENCV:-}" ]; then
    "$python" -m venv --system-site-packages "$venv"
    "$python" -c 'import cv2' || { echo "setup: the system has no OpenCV: apt-get install python3-opencv" >&2; exit 1; }
else
    "$python" -m venv "$venv"
fi
pip="$venv/bin/python -m pip --disable-pip-version-check -q"

if [ -n "${SYSTEM_OPENCV:-}" ]; then
    # JetPack's and Debian's OpenCV are built for NumPy 1; a pip-installed OpenCV would shadow them.
    $pip install --no-deps -e .
    # shellcheck disable=SC2046  # a list of requirements
    $pip install $("$venv/bin/python" scripts/requirements.py --without opencv-python-headless) 'numpy<2'
else
    # shellcheck disable=SC2086
    $pip install ${CONSTRAINTS:+-c "$CONSTRAINTS"} -e '.[eval,dev]'
fi
