# SPDX-License-Identifier: Apache-2.0
"""Do the unit tests notice? One condition of a module is made wrong (mutations.py), the module is
compiled, its tests are linked with it and run; a mutant under which all of them pass survives.

  mutants.py BUILD-DIR [--module NAME ...] [--all | --points N] [--seed S]

BUILD-DIR is that of a preset. About N mutants spread over all modules, or all of them; --all and S
may come as TMILL_MUTANTS=all and TMILL_SEED; without, S is 1, so that red means a change and not a
day. Fails when fewer than 95 % are noticed. Mutants that mean the same program stand with the
reason in equivalent.txt and are not tried."""
import argparse
import collections
import concurrent.futures
import itertools
import json
import os
import random
import shlex
import subprocess
import sys
import tempfile
import threading
import time

from mutations import mutations_of

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
NOTICED_MIN = 95.0  # percent
SOUND_S_MAX = 600
RUN_S_MIN = 60  # and ten times what the sound module takes
# What never ends is known by the time that it computes, however busy the machine is: Check's own
# limits are so long that they stop only what waits.
CASE_CPU_S_MAX = 30
CASE_LIMITS = {"CK_DEFAULT_TIMEOUT": "60", "CK_TIMEOUT_MULTIPLIER": "10"}
# A read past the end that changes no result must be noticed too.
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
POINTS = 150  # of the sample: what two cores try in two minutes
IGNORE = "-DMUTANT_IGNORE(call,label)=(status=(call))"  # mutations.py
MEMORY_MB = 2048

# module -> the unit tests that are to notice
MODULES = {
    "base/path.c": ["path_test", "root_test"],
    "base/root.c": ["root_test", "path_test"],
    "crypto/digest.c": ["digest_test"],
    "crypto/identity.c": ["identity_test"],
    "crypto/keyfile.c": ["keyfile_test"],
    "crypto/merkle.c": ["merkle_test"],
    "crypto/sign.c": ["sign_test"],
    "node/coordinator/verify.c": ["verify_test"],
    "node/journal/journal.c": ["journal_test", "journal_faults_test"],
    "package/digest_map.c": ["digest_map_test"],
    "package/index_payload.c": ["index_payload_test", "release_test"],
    "package/ledger.c": ["ledger_test", "package_test"],
    "package/package_parse.c": ["package_tables_test", "package_test"],
    "package/package_read.c": ["package_test"],
    "package/package_tables.c": ["package_tables_test", "package_test"],
    "package/release.c": ["release_test"],
}


def run(command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          **more)


def must(command, **more):
    done = run(command, **more)
    if done.returncode != 0:
        sys.exit(f"mutants: {' '.join(command)}\n{done.stdout.decode('utf-8', 'replace')[-4000:]}")
    return done.stdout.decode("utf-8", "replace")


class Build:
    """Commands of the build folder: how a module is compiled and how a test is linked."""

    def __init__(self, folder, tests):
        self.folder = folder
        must(["cmake", "--build", folder, "--target", *tests])
        with open(os.path.join(folder, "compile_commands.json"), encoding="utf-8") as text:
            self.compile = {os.path.relpath(entry["file"], ROOT): shlex.split(entry["command"])
                            for entry in json.load(text)}
        self.link = {test: self.link_command(test) for test in tests}

    def link_command(self, test):
        """ninja prints `: && cc ... -o tests/x_test ... && :`."""
        last = must(["ninja", "-C", self.folder, "-t", "commands", "-s", f"tests/{test}"])
        words = shlex.split(last.splitlines()[-1])
        return words[words.index("&&") + 1:-2]

    def compile_mutant(self, module, source, output):
        words = list(self.compile[module])
        words[words.index("-o") + 1] = output
        words[words.index("-c") + 1] = source
        return run([*words, "-w", "-O0", IGNORE, *SANITIZE], cwd=self.folder).returncode == 0

    def link_mutant(self, test, mutant, output):
        """The object stands before the library that has the sound one: the linker takes it."""
        words = list(self.link[test])
        at = words.index("-o")
        words[at + 1] = output
        words.insert(at, mutant)
        must([*words, *SANITIZE], cwd=self.folder)


def alone():
    """A command in front of a test, so that what a broken one leaves goes with it: files in /tmp,
    and the children of Check, which are no part of its process group."""
    front = ["unshare", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount",
             "--mount-proc", "prlimit", f"--cpu={CASE_CPU_S_MAX}"]
    if not ROOT.startswith("/tmp/"):
        front += ["sh", "-c", 'mount -t tmpfs -o size=1g tmpfs /tmp && exec "$@"', "sh"]
    must([*front, "true"])
    return front


class Runner:
    def __init__(self, build):
        self.build = build
        self.front = alone()
        self.environment = {**os.environ, "CK_TAP_LOG_FILE_NAME": "-",
                            **CASE_LIMITS, "ASAN_OPTIONS": f"hard_rss_limit_mb={MEMORY_MB}"}
        self.limit = {}
        self.slots = threading.local()
        self.scratch = tempfile.TemporaryDirectory(prefix="mutants-", dir=build.folder)

    def passes(self, program, limit):
        """Ends with the first test case that fails, or when the limit (s) is over."""
        with subprocess.Popen([*self.front, program], cwd=ROOT, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              env=self.environment) as test:
            timer = threading.Timer(limit, test.kill)
            timer.start()
            failed = any(line.startswith(b"not ok ") for line in test.stdout)
            if failed:
                test.kill()
            code = test.wait()
            timer.cancel()
        return not failed and code == 0

    def sound(self, module):
        """The module as it is, in the same way: its tests pass, and how long they may take."""
        with open(os.path.join(ROOT, module), encoding="utf-8") as text:
            obj, program = self.compiled(module, text.read())
        for test in MODULES[module]:
            self.build.link_mutant(test, obj, program)
            began = time.monotonic()
            if not self.passes(program, SOUND_S_MAX):
                sys.exit(f"mutants: {test} fails without any mutant of {module}")
            self.limit[module, test] = RUN_S_MIN + 10 * (time.monotonic() - began)

    def slot(self):
        """A folder of this thread."""
        if not hasattr(self.slots, "folder"):
            self.slots.folder = tempfile.mkdtemp(dir=self.scratch.name)
        return self.slots.folder

    def compiled(self, module, text):
        """The object, None if it does not compile, and where a program may be linked."""
        source, obj, program = (os.path.join(self.slot(), name) for name in
                                (os.path.basename(module), "mutant.o", "program"))
        with open(source, "w", encoding="utf-8") as out:
            out.write(text)
        return obj if self.build.compile_mutant(module, source, obj) else None, program

    def judge(self, mutant):
        """noticed, survived or invalid: it does not compile."""
        obj, program = self.compiled(mutant.path, mutant.apply())
        if obj is None:
            return "invalid"
        for test in MODULES[mutant.path]:
            self.build.link_mutant(test, obj, program)
            if not self.passes(program, self.limit[mutant.path, test]):
                return "noticed"
        return "survived"

    def sound_all(self, modules):
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(self.sound, modules))

    def judge_all(self, mutants):
        """Yields (mutant, outcome) in order, and says what survives as soon as it is known."""
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for mutant, outcome in zip(mutants, pool.map(self.judge, mutants)):
                if outcome == "survived":
                    print(f"SURVIVED {mutant}", flush=True)
                yield mutant, outcome


def equivalents():
    """{(module, changed statement)}; a line: module, tab, statement, tab, reason."""
    pairs = set()
    with open(os.path.join(HERE, "equivalent.txt"), encoding="utf-8") as text:
        for line in text:
            if line.strip() and not line.startswith("#"):
                module, changed, reason = line.rstrip("\n").split("\t")
                if not reason:
                    sys.exit(f"mutants: no reason in equivalent.txt: {line}")
                pairs.add((module, changed))
    return pairs


def all_mutants(modules):
    listed, seen, mutants, skipped = equivalents(), set(), [], 0
    for module in modules:
        with open(os.path.join(ROOT, module), encoding="utf-8") as text:
            for mutant in mutations_of(module, text.read()):
                key = (module, mutant.changed())
                if key in listed:
                    seen.add(key)
                    skipped += 1
                else:
                    mutants.append(mutant)
    stale = {key for key in listed - seen if key[0] in modules}
    if stale:
        sys.exit(f"mutants: equivalent.txt names what no mutation makes: {sorted(stale)}")
    return mutants, skipped


def sample(mutants, points, seed):
    """Every n-th mutant, so that each module has its share; the seed says where it starts."""
    step = max(1, len(mutants) // points)
    return list(itertools.islice(mutants, random.Random(seed).randrange(step), None, step))


def table(outcomes):
    """Prints a row a module; returns the sums."""
    rows = collections.defaultdict(collections.Counter)
    for mutant, outcome in outcomes:
        rows[mutant.path][outcome] += 1
        rows["all"][outcome] += 1
    print(f"{'':28} noticed survived")
    for name in sorted(rows, key=lambda name: (name == "all", name)):
        row = rows[name]
        print(f"{name:28} {row['noticed']:7} {row['survived']:8}")
    return rows["all"]


def options_of():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("build")
    parser.add_argument("--module", action="append", choices=sorted(MODULES))
    parser.add_argument("--all", action="store_true",
                        default=os.environ.get("TMILL_MUTANTS") == "all")
    parser.add_argument("--points", type=int, default=POINTS)
    parser.add_argument("--seed", type=int,
                        default=int(os.environ.get("TMILL_SEED", "1")))
    return parser.parse_args()


def main():
    options = options_of()
    modules = options.module or sorted(MODULES)
    mutants, skipped = all_mutants(modules)
    tried = mutants if options.all else sample(mutants, options.points, options.seed)
    print(f"mutants: {len(tried)} of {len(mutants)}, seed {options.seed};"
          f" {skipped} more mean the same program (equivalent.txt)", flush=True)
    tests = sorted({test for module in modules for test in MODULES[module]})
    runner = Runner(Build(os.path.abspath(options.build), tests))
    runner.sound_all(modules)
    count = table(runner.judge_all(tried))
    noticed = count["noticed"]
    valid = noticed + count["survived"]
    if valid == 0:
        sys.exit("mutants: none compiled")
    print(f"mutants: {100 * noticed / valid:.1f} % noticed ({noticed} of {valid};"
          f" {count['invalid']} do not compile), the threshold is {NOTICED_MIN} %")
    sys.exit(0 if 100 * noticed >= NOTICED_MIN * valid else 1)


if __name__ == "__main__":
    main()
