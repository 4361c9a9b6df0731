/* SPDX-License-Identifier: Apache-2.0
 * Runs a program and lets the N-th system call of one kind fail, once or for ever from there on.
 *
 *   injector --log FILE [--kind NAME --error NUMBER --at N [--forever]] [--process K] -- PROGRAM
 * ...
 *
 * Without --kind it counts: the log gets one line for each call of a kind that can be made to fail.
 * strace numbers the calls of each thread apart, so that one injection hits several threads; here
 * they are numbered over all threads of a process. --process 0 is PROGRAM itself, 1 the first child
 * that it starts, and so on. Calls before a program's own first instruction (the loader, the
 * constructors of its libraries) are not counted: a breakpoint stands at the entry of the file.
 *
 * Lines of the log, parted by tabs:
 *   call KIND N WHAT     a call was made (counting)
 *   masked KIND N WHAT   the same by a thread that blocks SIGINT and SIGTERM: never EINTR
 *   hit KIND N WHAT      it failed
 *   total KIND N         so many calls of the kind there were in the end
 *   end exit CODE        how PROGRAM ended; or: end signal NUMBER
 * WHAT is the path, the file behind the descriptor, or empty. The exit code is that of PROGRAM. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/num.h"

/* What says which file a call is about. */
enum about { NOTHING, PATH_0, PATH_1, FD_0, FD_4 };

struct kind {
    const char *name;
    long number;
    enum about about;
};

static const struct kind kinds[] = {
    {"openat", SYS_openat, PATH_1},
    {"read", SYS_read, FD_0},
    {"pread64", SYS_pread64, FD_0},
    {"write", SYS_write, FD_0},
    {"writev", SYS_writev, FD_0},
    {"pwrite64", SYS_pwrite64, FD_0},
    {"fsync", SYS_fsync, FD_0},
    {"fdatasync", SYS_fdatasync, FD_0},
    {"syncfs", SYS_syncfs, FD_0},
    {"rename", SYS_rename, PATH_0},
    {"renameat", SYS_renameat, PATH_1},
    {"renameat2", SYS_renameat2, PATH_1},
    {"link", SYS_link, PATH_0},
    {"linkat", SYS_linkat, PATH_1},
    {"symlink", SYS_symlink, PATH_0},
    {"symlinkat", SYS_symlinkat, PATH_0},
    {"readlink", SYS_readlink, PATH_0},
    {"mkdir", SYS_mkdir, PATH_0},
    {"mkdirat", SYS_mkdirat, PATH_1},
    {"rmdir", SYS_rmdir, PATH_0},
    {"unlink", SYS_unlink, PATH_0},
    {"unlinkat", SYS_unlinkat, PATH_1},
    {"ftruncate", SYS_ftruncate, FD_0},
    {"fallocate", SYS_fallocate, FD_0},
    {"close", SYS_close, FD_0},
    {"fstat", SYS_fstat, FD_0},
    {"newfstatat", SYS_newfstatat, PATH_1},
    {"statfs", SYS_statfs, PATH_0},
    {"getdents64", SYS_getdents64, FD_0},
    {"lseek", SYS_lseek, FD_0},
    {"flock", SYS_flock, FD_0},
    {"fcntl", SYS_fcntl, FD_0},
    {"fchmod", SYS_fchmod, FD_0},
    {"fchown", SYS_fchown, FD_0},
    {"getrandom", SYS_getrandom, NOTHING},
    {"mmap", SYS_mmap, FD_4},
    {"brk", SYS_brk, NOTHING},
    {"clone3", SYS_clone3, NOTHING},
    {"vfork", SYS_vfork, NOTHING},
    {"socket", SYS_socket, NOTHING},
    {"socketpair", SYS_socketpair, NOTHING},
    {"connect", SYS_connect, FD_0},
    {"bind", SYS_bind, FD_0},
    {"listen", SYS_listen, FD_0},
    {"accept4", SYS_accept4, FD_0},
    {"accept", SYS_accept, FD_0},
    {"sendto", SYS_sendto, FD_0},
    {"recvfrom", SYS_recvfrom, FD_0},
    {"sendmsg", SYS_sendmsg, FD_0},
    {"recvmsg", SYS_recvmsg, FD_0},
    {"setsockopt", SYS_setsockopt, FD_0},
    {"poll", SYS_poll, NOTHING},
    {"eventfd2", SYS_eventfd2, NOTHING},
    {"pipe2", SYS_pipe2, NOTHING},
    {"epoll_create1", SYS_epoll_create1, NOTHING},
    {"epoll_ctl", SYS_epoll_ctl, FD_0},
    {"epoll_wait", SYS_epoll_wait, FD_0},
};
#define KINDS (sizeof kinds / sizeof kinds[0])

static struct {
    FILE *log;
    size_t kind; /* KINDS: only count */
    int error;
    uint64_t at;
    bool forever;
    uint64_t process;
} options = {.kind = KINDS};

static uint64_t counts[KINDS];

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "injector: %s: %s\n", what, strerror(errno));
    exit(125);
}

/* ---- processes and threads ---- */

/* A process from its exec on; the threads of one that is born without exec count as its parent's.
 */
struct process {
    pid_t pid;
    uint64_t index; /* in the order of their starts */
    bool begun;     /* past its entry */
    long word;      /* what the breakpoint hides */
    uint64_t entry;
};

#define PROCESSES 64
static struct process processes[PROCESSES];
static size_t process_count;

/* The mask is in hexadecimal; its last digit holds the signals 1 to 4. */
static bool in_mask(struct tm_view mask, int number)
{
    size_t digit = (size_t)(number - 1) / 4;
    if (digit >= mask.bytes) {
        return false;
    }
    int c = mask.data[mask.bytes - 1 - digit];
    int value = c <= '9' ? c - '0' : c - 'a' + 10;
    return (value >> ((number - 1) % 4) & 1) != 0;
}

/* The process of a thread, and whether a signal could interrupt the thread's calls. */
static pid_t process_of(pid_t thread, bool *masked)
{
    char path[64], line[128];
    snprintf(path, sizeof path, "/proc/%d/status", thread);
    FILE *file = fopen(path, "re");
    pid_t found = thread;
    *masked = false;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        struct tm_view value = tm_view_str(line + strcspn(line, "\t") + 1);
        uint64_t number;
        if (strncmp(line, "Tgid:", 5) == 0 && tm_parse_u64(value, &number) == TM_OK) {
            found = (pid_t)number;
        } else if (strncmp(line, "SigBlk:", 7) == 0) {
            *masked = in_mask(value, SIGINT) && in_mask(value, SIGTERM);
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return found;
}

static struct process *find_process(pid_t pid)
{
    for (size_t i = 0; i < process_count; i++) {
        if (processes[i].pid == pid) {
            return &processes[i];
        }
    }
    return NULL;
}

static uint64_t entry_of(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/auxv", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    Elf64_auxv_t vector[64];
    ssize_t got = fd >= 0 ? read(fd, vector, sizeof vector) : -1;
    if (got < 0) {
        die(path);
    }
    close(fd);
    for (size_t i = 0; i < (size_t)got / sizeof vector[0]; i++) {
        if (vector[i].a_type == AT_ENTRY) {
            return vector[i].a_un.a_val;
        }
    }
    errno = ENOENT;
    die("AT_ENTRY");
}

#define INT3 0xcc

static void program_starts(pid_t pid)
{
    struct process *process = find_process(pid);
    if (process == NULL) {
        if (process_count == PROCESSES) {
            errno = E2BIG;
            die("processes");
        }
        process = &processes[process_count];
        *process = (struct process){.pid = pid, .index = process_count++};
    }
    process->begun = false;
    process->entry = entry_of(pid);
    errno = 0;
    process->word = ptrace(PTRACE_PEEKTEXT, pid, process->entry, NULL);
    if (errno != 0 ||
        ptrace(PTRACE_POKETEXT, pid, process->entry, (process->word & ~0xffL) | INT3) != 0) {
        die("breakpoint");
    }
}

/* Whether the trap of the thread was our breakpoint, which is then gone. */
static bool at_entry(pid_t pid)
{
    struct process *process = find_process(pid);
    struct user_regs_struct regs;
    if (process == NULL || process->begun || ptrace(PTRACE_GETREGS, pid, NULL, &regs) != 0 ||
        regs.rip != process->entry + 1) {
        return false;
    }
    regs.rip = process->entry;
    if (ptrace(PTRACE_POKETEXT, pid, process->entry, process->word) != 0 ||
        ptrace(PTRACE_SETREGS, pid, NULL, &regs) != 0) {
        die("breakpoint");
    }
    process->begun = true;
    return true;
}

/* ---- calls ---- */

static void say_path(pid_t pid, uint64_t address, char *out, size_t bytes)
{
    struct iovec mine = {.iov_base = out, .iov_len = bytes - 1};
    struct iovec theirs = {.iov_base = (void *)(uintptr_t)address, .iov_len = bytes - 1}; // NOLINT
    ssize_t got = process_vm_readv(pid, &mine, 1, &theirs, 1, 0);
    while (got < 0 && theirs.iov_len > 64) { /* the text may lie at the end of a mapping */
        theirs.iov_len /= 2;
        got = process_vm_readv(pid, &mine, 1, &theirs, 1, 0);
    }
    out[got > 0 ? got : 0] = '\0';
}

static void say_fd(pid_t pid, int64_t fd, char *out, size_t bytes)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, (int)fd);
    ssize_t got = readlink(path, out, bytes - 1);
    out[got > 0 ? got : 0] = '\0';
}

static void say_call(const char *word, pid_t pid, size_t kind, const struct user_regs_struct *regs)
{
    char what[PATH_MAX] = "";
    switch (kinds[kind].about) {
    case PATH_0:
        say_path(pid, regs->rdi, what, sizeof what);
        break;
    case PATH_1:
        say_path(pid, regs->rsi, what, sizeof what);
        if (what[0] == '\0') { /* AT_EMPTY_PATH: fstat */
            say_fd(pid, (int64_t)regs->rdi, what, sizeof what);
        }
        break;
    case FD_0:
        say_fd(pid, (int64_t)regs->rdi, what, sizeof what);
        break;
    case FD_4:
        say_fd(pid, (int64_t)regs->r8, what, sizeof what);
        break;
    case NOTHING:
        break;
    }
    what[strcspn(what, "\t\n")] = '\0';
    fprintf(options.log, "%s\t%s\t%llu\t%s\n", word, kinds[kind].name,
            (unsigned long long)counts[kind], what);
    fflush(options.log);
}

/* Linux has no error for a read, write or fcntl of an event descriptor that is open; libzmq, which
 * lives by them, asserts that. */
static bool cannot_fail(pid_t pid, size_t kind, const struct user_regs_struct *regs)
{
    long number = kinds[kind].number;
    char what[64];
    if (number != SYS_read && number != SYS_write && number != SYS_fcntl) {
        return false;
    }
    say_fd(pid, (int64_t)regs->rdi, what, sizeof what);
    return strcmp(what, "anon_inode:[eventfd]") == 0;
}

/* Threads inside a close whose answer will be replaced: Linux gives the descriptor back whatever
 * close answers, and with it the locks of the file. */
#define SYSCALL_STOP 0x80 /* PTRACE_O_TRACESYSGOOD */
#define CLOSING 64
static pid_t closing[CLOSING];

/* Puts `to` where `from` is; false when it is nowhere. */
static bool replace_closing(pid_t from, pid_t to)
{
    for (size_t i = 0; i < CLOSING; i++) {
        if (closing[i] == from) {
            closing[i] = to;
            return true;
        }
    }
    return false;
}

static void on_closed(pid_t pid)
{
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0) {
        regs.rax = (unsigned long long)-options.error;
        ptrace(PTRACE_SETREGS, pid, NULL, &regs);
    }
}

static bool is_closing(pid_t pid)
{
    return replace_closing(pid, pid);
}

static void on_call(pid_t pid)
{
    bool masked;
    struct process *process = find_process(process_of(pid, &masked));
    if (process == NULL || !process->begun || process->index != options.process) {
        return;
    }
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) != 0) {
        return; /* it was killed meanwhile */
    }
    size_t kind = 0;
    while (kind < KINDS && kinds[kind].number != (long)regs.orig_rax) {
        kind++;
    }
    if (kind == KINDS || cannot_fail(pid, kind, &regs)) {
        return;
    }
    counts[kind]++;
    if (options.kind == KINDS) {
        say_call(masked ? "masked" : "call", pid, kind, &regs);
        return;
    }
    if (kind != options.kind || counts[kind] < options.at ||
        (counts[kind] > options.at && !options.forever)) {
        return;
    }
    if (options.error == EINTR && masked) {
        return;
    }
    say_call("hit", pid, kind, &regs);
    if (kinds[kind].number == SYS_close && replace_closing(0, pid)) {
        return;
    }
    regs.orig_rax = (unsigned long long)-1; /* the kernel skips the call */
    /* brk has no error codes: the unchanged end of the heap, here 0, says that it failed. */
    regs.rax = kinds[kind].number == SYS_brk ? 0 : (unsigned long long)-options.error;
    ptrace(PTRACE_SETREGS, pid, NULL, &regs);
}

/* ---- the program ---- */

static void child(char **argv)
{
    struct sock_filter filter[KINDS + 5];
    size_t n = 0;
    filter[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < KINDS; i++) {
        filter[n++] = (struct sock_filter)BPF_JUMP(
            BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)kinds[i].number, (uint8_t)(KINDS - i), 0);
    }
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    struct sock_fprog program = {.len = (unsigned short)n, .filter = filter};
    raise(SIGSTOP);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        die("seccomp");
    }
    execv(argv[0], argv);
    die(argv[0]);
}

/* The signal to go on with. */
static int on_stop(pid_t pid, int state)
{
    int number = WSTOPSIG(state), event = state >> 16;
    switch (event) {
    case PTRACE_EVENT_SECCOMP:
        on_call(pid);
        return 0;
    case PTRACE_EVENT_EXEC:
        program_starts(pid);
        return 0;
    case 0:
        if (number == (SIGTRAP | SYSCALL_STOP)) {
            if (replace_closing(pid, 0)) {
                on_closed(pid);
            }
            return 0;
        }
        return number == SIGTRAP && at_entry(pid) ? 0 : number;
    default:
        return 0; /* a new thread or process, or a stop of the group */
    }
}

static int watch(pid_t main_pid)
{
    int code = 125, state = 0;
    for (;;) {
        pid_t pid = waitpid(-1, &state, __WALL);
        if (pid < 0 && errno == EINTR) {
            continue;
        }
        if (pid < 0) {
            return code; /* all have ended */
        }
        if (WIFSTOPPED(state)) {
            int number = on_stop(pid, state);
            ptrace(is_closing(pid) ? PTRACE_SYSCALL : PTRACE_CONT, pid, NULL, number);
        } else if (pid == main_pid) {
            code = WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
            if (options.kind < KINDS) {
                fprintf(options.log, "total\t%s\t%llu\n", kinds[options.kind].name,
                        (unsigned long long)counts[options.kind]);
            }
            fprintf(options.log, "end\t%s\t%d\n", WIFEXITED(state) ? "exit" : "signal",
                    WIFEXITED(state) ? WEXITSTATUS(state) : WTERMSIG(state));
            fflush(options.log);
        }
    }
}

static size_t kind_named(const char *name)
{
    size_t kind = 0;
    while (kind < KINDS && strcmp(kinds[kind].name, name) != 0) {
        kind++;
    }
    if (kind == KINDS) {
        errno = EINVAL;
        die(name);
    }
    return kind;
}

/* Fills the options; gives the words of the program. */
static char **parse(int argc, char **argv)
{
    int i = 1;
    for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        uint64_t number = 0;
        if (strcmp(argv[i], "--forever") == 0) {
            options.forever = true;
            continue;
        }
        if (strcmp(argv[i], "--log") == 0) {
            options.log = fopen(value, "we");
        } else if (strcmp(argv[i], "--kind") == 0) {
            options.kind = kind_named(value);
        } else if (tm_parse_u64(tm_view_str(value), &number) != TM_OK) {
            errno = EINVAL;
            die(argv[i]);
        } else if (strcmp(argv[i], "--error") == 0) {
            options.error = (int)number;
        } else if (strcmp(argv[i], "--at") == 0) {
            options.at = number;
        } else if (strcmp(argv[i], "--process") == 0) {
            options.process = number;
        }
        i++;
    }
    if (options.log == NULL || i + 1 >= argc) {
        errno = EINVAL;
        die("--log FILE and -- PROGRAM are needed");
    }
    return argv + i + 1;
}

int main(int argc, char **argv)
{
    char **program = parse(argc, argv);
    pid_t pid = fork();
    if (pid == 0) {
        child(program);
    }
    int state = 0;
    if (pid < 0 || waitpid(pid, &state, WUNTRACED) != pid) {
        die("fork");
    }
    long traced = PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                  PTRACE_O_TRACEEXEC | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACESYSGOOD |
                  PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SEIZE, pid, NULL, traced) != 0) {
        die("ptrace");
    }
    kill(pid, SIGCONT);
    return watch(pid);
}
