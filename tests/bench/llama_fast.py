# SPDX-License-Identifier: Apache-2.0
"""llama-bench of the llama.cpp that deploy/setup.sh builds, for the instructions that we use too.

    python3 tests/bench/llama_fast.py [avx2|avx512]      prints its path; builds it first if need be

The tools that setup builds are judges of results and run on any x86-64; their speed says nothing.
These are the same source with AVX2, FMA and F16C (`avx2`), or with what AVX-512 adds (`avx512`),
each in a folder of the cache beside the other. GGML_NATIVE stays off: virtual machines announce
instructions (AMX) that they then refuse. A build takes some minutes."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
AVX2 = ("AVX", "AVX2", "FMA", "F16C", "BMI2")
INSTRUCTIONS = {
    "avx2": AVX2,
    "avx512": (*AVX2, "AVX512", "AVX512_VBMI", "AVX512_VNNI"),
}
FLAGS = {"avx2": {"avx2", "fma", "f16c", "bmi2"},
         "avx512": {"avx512f", "avx512bw", "avx512vl", "avx512vbmi", "avx512_vnni"}}  # fmt: skip
TOOL = "llama-bench"


def cache():
    return os.environ.get("TMILL_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "tensormill"
    )


def setup_says(name):
    """The value of a variable of deploy/setup.sh, so that both build one version alike."""
    with open(os.path.join(ROOT, "deploy/setup.sh"), encoding="utf-8") as stream:
        found = re.search(rf'^{name}=(?:"([^"]*)"|(\S+))$', stream.read(), re.M)
    return (found[1] or found[2]).split()


def supported(kind):
    """Whether this machine has the instructions."""
    with open("/proc/cpuinfo", encoding="utf-8") as stream:
        flags = re.search(r"^flags\s*:(.*)$", stream.read(), re.M)
    return flags is not None and FLAGS[kind] <= set(flags[1].split())


def build(kind, version, home):
    with tempfile.TemporaryDirectory(dir=cache()) as work, open(f"{home}.log", "wb") as log:

        def run(*argv):
            if subprocess.run(argv, stdout=log, stderr=log).returncode:
                sys.exit(f"llama_fast.py: failed: {' '.join(argv)} (its output: {home}.log)")

        run(sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", "llama-cpp-python",
            "-d", work, f"llama-cpp-python=={version}")  # fmt: skip
        run("tar", "-xzf", f"{work}/llama_cpp_python-{version}.tar.gz", "-C", work)
        source = f"{work}/llama_cpp_python-{version}/vendor/llama.cpp"
        options = setup_says("LLAMA_OPTIONS") + [f"-DGGML_{i}=ON" for i in INSTRUCTIONS[kind]]
        run("cmake", "-S", source, "-B", f"{work}/build", "-G", "Ninja",
            "-DCMAKE_BUILD_TYPE=Release", *options)  # fmt: skip
        run("nice", "cmake", "--build", f"{work}/build", "--target", TOOL)
        os.makedirs(home, exist_ok=True)
        shutil.copy2(f"{work}/build/bin/{TOOL}", home)


def llama_bench(kind):
    """Path of llama-bench; built when it is not there."""
    (version,) = setup_says("LLAMA_VERSION")
    home = os.path.join(cache(), f"llama-{version}-{kind}")
    tool = os.path.join(home, TOOL)
    if not os.path.exists(tool):
        print(f"llama_fast.py: building {tool} (some minutes)", file=sys.stderr)
        build(kind, version, home)
    return tool


if __name__ == "__main__":
    print(llama_bench(sys.argv[1] if len(sys.argv) > 1 else "avx2"))
