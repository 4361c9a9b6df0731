# SPDX-License-Identifier: Apache-2.0
"""Runs the public cases ($TMILL_SHARED/data/cases, each from a bug report of another tool) against
our programs. Exit 77 where the folder is absent. The inputs are made anew
in a temporary folder: links and sparse files do not survive every way of copying."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

from harness import EDGE, SHARED, TMILL

NOT_RUN = 77
OPTIONS = [
    "--before", "{tmill} key gen",
    "--decode-cmd", "{tmill} export {pkg} --format safetensors -o {out}",
    "--publish-cmd", "{tmill} publish {pkg} --repo {repo} --name m",
    "--pull-cmd", 'sh -c \'{edge} trust add "$({tmill} key export)" --store {store} >/dev/null'
                  " && {edge} pull {url} m --store {store}'",
    "--edge-verify-cmd", "{edge} verify --store {store}", "--json-errors"]


def main():
    cases = os.path.join(SHARED, "data", "cases")
    if not os.path.isdir(cases):
        print(f"{cases} is absent: not run")
        return NOT_RUN
    work = tempfile.mkdtemp(prefix="tmill-cases-")
    try:
        copy = os.path.join(work, "cases")
        shutil.copytree(cases, copy, copy_function=shutil.copyfile)
        for top, _, _ in os.walk(copy):
            os.chmod(top, 0o755)
        folder = os.path.join(copy, "dev")
        subprocess.run([sys.executable, "-B", os.path.join(copy, "make_all.py")], check=True)
        result = subprocess.run(
            [sys.executable, "-B", os.path.join(copy, "run_cases.py"), folder, "--tmill", TMILL,
             "--edge", EDGE, "--tmp", work, *OPTIONS], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, check=False, text=True)
        print(result.stdout)
        skipped = re.search(r"^(SKIP|FAIL)", result.stdout, re.M)
        passed = len(re.findall(r"^PASS", result.stdout, re.M))
        return 1 if result.returncode or skipped or not passed else 0
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
