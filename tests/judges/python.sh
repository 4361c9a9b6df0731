#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs the Python that has gguf, safetensors and numpy: $TMILL_PYTHON, or the one that
# deploy/setup.sh put into the cache folder. Fails when there is none.
set -eu
cache=${TMILL_CACHE:-${XDG_CACHE_HOME:-${HOME:-}/.cache}/tensormill}
python=${TMILL_PYTHON:-$cache/venv/bin/python}
if ! [ -x "$python" ]; then
    echo "python.sh: no Python for the judges at $python; run deploy/setup.sh" \
        "or set TMILL_PYTHON" >&2
    exit 1
fi
exec "$python" "$@"
