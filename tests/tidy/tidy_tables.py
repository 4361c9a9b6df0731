# SPDX-License-Identifier: Apache-2.0
"""The tables that tidy.py holds the tree to. Who may include what follows docs/ARCHITECTURE.md and
the link lines of CMakeLists.txt; whoever changes one changes all three."""

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 800
COLUMNS_MAX = 100

# folder -> headers of ours that its files may include: "x/" a folder, "x/y.h" a header.
# Patterns are fnmatch patterns; `not` is stronger. tests/ and its folders may include everything.
NODE_OTHERS = ["node/transport/*", "node/journal/*", "node/coordinator/*", "node/worker/*",
               "node/cli/*", "node/dashboard/*"]
INCLUDE_TABLE = {
    "base": {"may": ["base/*"]},
    "crypto": {"may": ["base/*", "crypto/*"]},
    "model": {"may": ["base/*", "crypto/*", "model/*"]},
    "model/tokenizer": {"may": ["base/*", "crypto/*", "model/*", "model/tokenizer/*"]},
    "model/pass": {"may": ["base/*", "crypto/*", "model/*", "model/pass/*"]},
    "model/calibration": {"may": ["base/*", "crypto/*", "model/*", "model/pass/*",
                                  "model/calibration/*"]},
    "stages": {"may": ["base/*", "crypto/digest.h", "model/convert.h",
                       "model/tensor.h", "stages/*"]},
    "package": {"may": ["base/*", "crypto/*", "package/*"]},
    "proto": {"may": ["base/*", "crypto/*", "proto/*"]},
    "scheduler": {"may": ["base/*", "model/inventory.h", "model/tensor.h", "proto/message.h",
                          "scheduler/*"]},
    "node/journal": {"may": ["base/*", "crypto/*", "model/*", "proto/*", "scheduler/*",
                             "node/journal/*"]},
    "node/transport": {"may": ["base/*", "crypto/*", "proto/*", "node/transport/*"]},
    # What tmill-edge is made of: no encoder, no scheduler, no messages, no sockets of zmq.
    "node/common": {"may": ["base/*", "crypto/*", "model/*", "stages/*", "package/*",
                            "node/common/*"],
                    "not": ["*_encode.h", "*_encode_*.h"]},
    "node/quality": {"may": ["base/*", "crypto/*", "model/*", "package/*", "node/common/*",
                             "node/quality/*"]},
    "node/report": {"may": ["base/*", "crypto/*", "model/*", "stages/*", "package/*", "scheduler/*",
                            "node/journal/*", "node/common/*", "node/quality/*",
                           "node/report/*"]},
    "node/edge": {"may": ["base/*", "crypto/*", "model/*", "stages/*", "package/*",
                          "node/common/*", "node/edge/*"],
                  "not": ["*_encode.h", "*_encode_*.h"]},
    "node/coordinator": {"may": ["*"], "not": ["node/edge/*", "node/cli/*", "tests/*"]},
    "node/worker": {"may": ["*"], "not": ["node/edge/*", "node/cli/*", "tests/*"]},
    "node/cli": {"may": ["*"], "not": ["node/edge/*", "tests/*"]},
    "node/dashboard": {"may": ["*"], "not": ["node/edge/*", "node/cli/*", "tests/*"]},
}
# What a *_test.c or *_fuzz.c beside a module may include besides.
TEST_MAY = ["tests/support/*", "tests/vectors/*"]

# third-party header -> the only files that may include it. Tests under tests/ may include all.
THIRD_PARTY_HOMES = {
    "jansson.h": ["base/*"],
    "sodium.h": ["crypto/*"],
    "openssl/*": ["crypto/*"],
    "zstd.h": ["stages/*"],
    "zstd_errors.h": ["stages/*"],
    "omp.h": ["stages/*", "model/*"],
    "pcre2.h": ["model/tokenizer/*"],
    "utf8proc.h": ["model/tokenizer/*"],
    "isa-l.h": ["package/*"],
    "isa-l/*": ["package/*"],
    "protobuf-c/*": ["proto/*"],
    "sqlite3.h": ["node/journal/*"],
    "curl/*": ["node/edge/*"],
    "zmq.h": ["node/transport/*"],
    "czmq.h": ["node/transport/*"],
    "microhttpd.h": ["node/dashboard/*"],
    "check.h": ["*_test.c"],
    "immintrin.h": ["*_avx2.c"],
    "arm_neon.h": ["*_neon.c"],
}
# Generated from .proto files; only proto/ sees it.
GENERATED_HEADERS = ["*.pb-c.h"]
OPENMP_HOMES = ["stages/*", "model/*"]

# C11, POSIX and Linux: no home needed.
SYSTEM_HEADERS = set("""
assert.h complex.h ctype.h errno.h fenv.h float.h inttypes.h limits.h locale.h math.h setjmp.h
signal.h stdalign.h stdarg.h stdatomic.h stdbool.h stddef.h stdint.h stdio.h stdlib.h stdnoreturn.h
string.h threads.h time.h uchar.h wchar.h wctype.h
arpa/inet.h dirent.h fcntl.h fnmatch.h ftw.h getopt.h glob.h grp.h ifaddrs.h langinfo.h libgen.h
malloc.h
net/if.h netdb.h netinet/in.h netinet/tcp.h poll.h pthread.h pwd.h sched.h spawn.h strings.h
sys/auxv.h sys/epoll.h sys/eventfd.h sys/file.h sys/inotify.h sys/ioctl.h sys/mman.h sys/prctl.h
sys/ptrace.h sys/random.h sys/resource.h sys/select.h sys/socket.h sys/stat.h sys/statvfs.h
sys/syscall.h sys/sysinfo.h sys/sysmacros.h sys/time.h sys/timerfd.h sys/types.h sys/uio.h
sys/un.h sys/vfs.h
sys/wait.h
syslog.h termios.h unistd.h utime.h
linux/falloc.h linux/fs.h linux/limits.h linux/magic.h cpuid.h
""".split())

# function -> what to use instead, and the files that may call it all the same.
BANNED_CALLS = {}


def _ban(names, instead, homes=()):
    for name in names.split():
        BANNED_CALLS[name] = (instead, list(homes))


_ban("malloc calloc realloc reallocarray free strdup strndup aligned_alloc posix_memalign memalign"
     " valloc", "base/mem.h", ["base/mem.c", "tests/support/*"])
_ban("asprintf vasprintf getline getdelim", "base/buf.h, base/file.h")
_ban("sprintf vsprintf", "snprintf or tm_buf_printf")
_ban("strcpy strcat stpcpy gets", "memcpy with checked sizes, or base/buf.h")
_ban("strncpy strncat", "memcpy with checked sizes, or base/buf.h", ["*_test.c"])
_ban("strtok strtok_r", "base/bytes.h: a cursor")
_ban("atoi atol atoll atof strtol strtoul strtoll strtoull strtod strtof strtold scanf sscanf"
     " fscanf vsscanf", "base/num.h", ["base/num.c", "tests/support/*"])
_ban("system popen", "posix_spawn with an argument vector")
_ban("alloca", "base/mem.h")
_ban("rand srand random drand48", "base/rng.h or tm_random_bytes")
_ban("tmpnam tempnam mktemp", "base/file.h or mkstemp")
_ban("setlocale", "nothing: no function relies on the locale", ["*_test.c"])
_ban("newlocale uselocale", "base/num.h", ["base/*", "*_test.c"])

# libm functions that differ between machines or versions: never where bits are made.
LIBM = set("""
acos acosh asin asinh atan atan2 atanh cbrt cos cosh erf erfc exp exp2 exp10 expm1 hypot lgamma log
log10 log1p log2 pow sin sinh tan tanh tgamma
""".split())
LIBM |= {name + suffix for name in LIBM for suffix in "fl"}
LIBM_FREE_FOLDERS = ["model", "stages", "package", "scheduler"]

# Files of commands: each is a module of its own behind the one header of its folder, and its test
# is of the whole program: tests/whole/test_<stem>.py.
COMMAND_FILES = {"node/cli/cmd_*.c": "node/cli/cli.h",
                 "node/edge/edge_*.c": "node/edge/edge_commands.h"}

# Tables of numbers may be longer than the limit: path -> reason.
LONG_FILES = {}
LONG_FUNCTIONS = {}

# Names that may occur more than once.
SHARED_NAMES = {"CMakeLists.txt", "tests.cmake", "README.md", "__init__.py"}
# Folders of data: their files are nobody's module.
DATA_FOLDERS = ["tests/corpus/*", "tests/vectors/*"]
# tidy's own samples of good and bad trees (see tidy_test.py).
SKIPPED = ["tests/tidy/bad/*", "tests/tidy/clean/*"]
