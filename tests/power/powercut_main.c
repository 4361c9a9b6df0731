/* SPDX-License-Identifier: Apache-2.0
 * Runs a program and stops it at its durable system calls: those that change files or make changes
 * last. Two uses, both for tests/power:
 *
 *   powercut kill N before|after PROGRAM [ARGUMENTS...]
 *       kill -9 of the program (not of its children) before or after its N-th durable call; ends
 *       with 137 then, with the program's own status when it made fewer calls.
 *   powercut stop FROM TO PROGRAM [ARGUMENTS...]
 *       after each durable call that succeeded all threads and children stand still; one line
 *       "<number> <name of the call>" goes to descriptor TO, and the program goes on when a byte
 *       comes from descriptor FROM. 'k' instead of any other byte kills everything.
 *
 * Calls on anything but regular files and folders (sockets, pipes) are not counted. Written with
 * ptrace(2), seccomp(2): a filter makes only the calls of the table stop, so the rest runs at full
 * speed. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/num.h"

#define TASKS_MAX 256

/* Whether the call counts: its first argument must be a descriptor of a file or folder (FD), its
 * third hold O_CREAT (MAKES), or always. */
enum first { FD, MAKES, ANY };

static const struct {
    unsigned number;
    enum first first;
    const char *name;
} CALLS[] = {
    {SYS_write, FD, "write"},
    {SYS_pwrite64, FD, "pwrite"},
    {SYS_writev, FD, "writev"},
    {SYS_pwritev, FD, "pwritev"},
    {SYS_copy_file_range, ANY, "copy_file_range"},
    {SYS_sendfile, FD, "sendfile"},
    {SYS_fsync, FD, "fsync"},
    {SYS_fdatasync, FD, "fdatasync"},
    {SYS_syncfs, FD, "syncfs"},
    {SYS_sync_file_range, FD, "sync_file_range"},
    {SYS_msync, ANY, "msync"},
    {SYS_ftruncate, FD, "ftruncate"},
    {SYS_fallocate, FD, "fallocate"},
    {SYS_openat, MAKES, "create"},
    {SYS_renameat, ANY, "rename"},
    {SYS_renameat2, ANY, "rename"},
    {SYS_linkat, ANY, "link"},
    {SYS_symlinkat, ANY, "symlink"},
    {SYS_unlinkat, ANY, "unlink"},
    {SYS_mkdirat, ANY, "mkdir"},
#ifdef SYS_rename
    {SYS_rename, ANY, "rename"},
    {SYS_link, ANY, "link"},
    {SYS_symlink, ANY, "symlink"},
    {SYS_unlink, ANY, "unlink"},
    {SYS_mkdir, ANY, "mkdir"},
    {SYS_rmdir, ANY, "rmdir"},
#endif
};
#define CALL_COUNT (sizeof CALLS / sizeof CALLS[0])

enum task_state { ABSENT, RUNNING, WAITING /* stopped; its status is not handled yet */, HELD };

struct task {
    pid_t pid;
    enum task_state state;
    int status;       /* of WAITING */
    unsigned call;    /* index in CALLS + 1 while inside a durable call */
    bool in_vfork;    /* cannot be stopped until its child has begun another program */
    bool interrupted; /* asked to stop by us: one stop more will come */
};

static struct {
    bool kill_mode, before, over;
    uint64_t kill_at, count;
    int from, to;
    pid_t root;
    int root_status;
    struct task tasks[TASKS_MAX];
} g;

/* ---- the child ---- */

/* Only the calls of the table stop; this program is of the machine's own architecture, as is what
 * it runs. */
static bool install_filter(void)
{
    struct sock_filter code[CALL_COUNT + 3];
    size_t n = 0;
    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < CALL_COUNT; i++) {
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CALLS[i].number,
                                                 (uint8_t)(CALL_COUNT - i), 0);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    struct sock_fprog program = {.len = (unsigned short)n, .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void child(char **argv)
{
    raise(SIGSTOP); /* until it is traced */
    if (!install_filter()) {
        perror("powercut: cannot filter system calls");
        _exit(126);
    }
    execvp(argv[0], argv);
    perror(argv[0]);
    _exit(127);
}

/* ---- tasks ---- */

static struct task *task_of(pid_t pid)
{
    struct task *empty = NULL;
    for (size_t i = 0; i < TASKS_MAX; i++) {
        if (g.tasks[i].state != ABSENT && g.tasks[i].pid == pid) {
            return &g.tasks[i];
        }
        if (g.tasks[i].state == ABSENT && empty == NULL) {
            empty = &g.tasks[i];
        }
    }
    if (empty == NULL) {
        fprintf(stderr, "powercut: more than %d threads\n", TASKS_MAX);
        _exit(125);
    }
    *empty = (struct task){.pid = pid, .state = RUNNING};
    return empty;
}

/* A task that ended meanwhile is noticed by waitpid. */
static void go_on(struct task *t, enum __ptrace_request how, int signal)
{
    t->state = RUNNING;
    (void)ptrace(how, t->pid, NULL, (void *)(intptr_t)signal);
}

static bool is_file(pid_t pid, int fd)
{
    char path[64];
    struct stat st;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
    return stat(path, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
}

/* Index in CALLS + 1 of the call that the task is about to make, 0 when it does not count. */
static unsigned call_of(const struct task *t)
{
    struct __ptrace_syscall_info info = {0};
    if (ptrace(PTRACE_GET_SYSCALL_INFO, t->pid, (void *)sizeof info, &info) <= 0 ||
        info.op != PTRACE_SYSCALL_INFO_SECCOMP) {
        return 0;
    }
    for (unsigned i = 0; i < CALL_COUNT; i++) {
        if (CALLS[i].number == info.seccomp.nr) {
            bool counts = true;
            if (CALLS[i].first == FD) {
                counts = is_file(t->pid, (int)info.seccomp.args[0]);
            } else if (CALLS[i].first == MAKES) {
                counts = (info.seccomp.args[2] & O_CREAT) != 0;
            }
            return counts ? i + 1 : 0;
        }
    }
    return 0;
}

static bool call_failed(const struct task *t)
{
    struct __ptrace_syscall_info info = {0};
    return ptrace(PTRACE_GET_SYSCALL_INFO, t->pid, (void *)sizeof info, &info) > 0 &&
           info.op == PTRACE_SYSCALL_INFO_EXIT && info.exit.is_error;
}

/* ---- points ---- */

static void kill_root(void)
{
    g.over = true;
    kill(g.root, SIGKILL);
}

static void note_end(struct task *t, int status)
{
    if (t->pid == g.root) {
        g.root_status = status;
    }
    t->state = ABSENT;
}

static bool any_runs(void)
{
    for (size_t i = 0; i < TASKS_MAX; i++) {
        if (g.tasks[i].state == RUNNING && !g.tasks[i].in_vfork) {
            return true;
        }
    }
    return false;
}

/* Stops every task that runs. A call that a task is in (an fsync, say) is finished first. A thread
 * that is being made does not run before it is seen here. */
static void stand_still(void)
{
    for (size_t i = 0; i < TASKS_MAX; i++) {
        struct task *t = &g.tasks[i];
        if (t->state == RUNNING && !t->in_vfork) {
            t->interrupted = ptrace(PTRACE_INTERRUPT, t->pid, NULL, NULL) == 0;
        }
    }
    while (any_runs()) {
        int status = 0;
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0) {
            return;
        }
        struct task *t = task_of(pid);
        if (WIFSTOPPED(status)) {
            t->state = WAITING;
            t->status = status;
        } else {
            note_end(t, status);
        }
    }
}

static void tell_and_wait(const char *name)
{
    char line[64];
    int n = snprintf(line, sizeof line, "%" PRIu64 " %s\n", g.count, name);
    char answer = 'k';
    if (write(g.to, line, (size_t)n) != n || read(g.from, &answer, 1) != 1 || answer == 'k') {
        for (size_t i = 0; i < TASKS_MAX; i++) {
            if (g.tasks[i].state != ABSENT) {
                kill(g.tasks[i].pid, SIGKILL);
            }
        }
        g.over = true;
    }
}

/* The task stands before a durable call. */
static void before_call(struct task *t)
{
    t->call = g.over ? 0 : call_of(t);
    if (t->call == 0) {
        go_on(t, PTRACE_CONT, 0);
        return;
    }
    if (g.kill_mode && g.before && g.count + 1 == g.kill_at) {
        kill_root();
        return;
    }
    go_on(t, PTRACE_SYSCALL, 0);
}

/* The task stands after one. */
static void after_call(struct task *t)
{
    const char *name = CALLS[t->call - 1].name;
    t->call = 0;
    if (!g.over && !call_failed(t)) {
        g.count++;
        if (!g.kill_mode) {
            t->state = HELD;
            stand_still();
            tell_and_wait(name);
        } else if (g.count == g.kill_at) {
            kill_root();
        }
    }
    go_on(t, PTRACE_CONT, 0);
}

/* ---- the loop ---- */

static void on_event(struct task *t, int event, int signal)
{
    switch (event) {
    case PTRACE_EVENT_SECCOMP:
        before_call(t);
        return;
    case PTRACE_EVENT_VFORK:
        t->in_vfork = true;
        break;
    case PTRACE_EVENT_VFORK_DONE:
        t->in_vfork = false;
        break;
    case PTRACE_EVENT_STOP:
        if (t->interrupted || signal == SIGTRAP) {
            t->interrupted = false;
        } else if (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN ||
                   signal == SIGTTOU) {
            go_on(t, PTRACE_LISTEN, 0); /* stopped by somebody else: stays so */
            return;
        }
        break;
    default:
        break;
    }
    go_on(t, t->call != 0 ? PTRACE_SYSCALL : PTRACE_CONT, 0);
}

static void handle(struct task *t, int status)
{
    if (!WIFSTOPPED(status)) {
        note_end(t, status);
        return;
    }
    int signal = WSTOPSIG(status), event = status >> 16;
    if (event != 0) {
        on_event(t, event, signal);
    } else if (signal == (SIGTRAP | 0x80)) {
        if (t->call != 0) {
            after_call(t);
        } else {
            go_on(t, PTRACE_CONT, 0);
        }
    } else {
        go_on(t, t->call != 0 ? PTRACE_SYSCALL : PTRACE_CONT, signal);
    }
}

/* Until nothing that was started is left. */
static void trace(void)
{
    for (;;) {
        struct task *waiting = NULL;
        for (size_t i = 0; i < TASKS_MAX && waiting == NULL; i++) {
            waiting = g.tasks[i].state == WAITING ? &g.tasks[i] : NULL;
        }
        int status = waiting != NULL ? waiting->status : 0;
        if (waiting == NULL) {
            pid_t pid = waitpid(-1, &status, __WALL);
            if (pid < 0 && errno == EINTR) {
                continue;
            }
            if (pid < 0) {
                return;
            }
            waiting = task_of(pid);
        }
        waiting->state = RUNNING;
        handle(waiting, status);
    }
}

static int run(char **argv)
{
    const unsigned long options = PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                                  PTRACE_O_TRACEVFORKDONE | PTRACE_O_TRACESECCOMP |
                                  PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
    int status = 0;
    g.root = fork();
    if (g.root == 0) {
        child(argv);
    }
    if (g.root < 0 || waitpid(g.root, &status, WUNTRACED) != g.root || !WIFSTOPPED(status) ||
        ptrace(PTRACE_SEIZE, g.root, NULL, (void *)options) != 0 ||
        waitpid(g.root, &status, __WALL) != g.root) {
        perror("powercut: cannot trace");
        return 125;
    }
    (void)task_of(g.root);
    kill(g.root, SIGCONT);
    (void)ptrace(PTRACE_CONT, g.root, NULL, NULL);
    trace();
    return WIFSIGNALED(g.root_status) ? 128 + WTERMSIG(g.root_status) : WEXITSTATUS(g.root_status);
}

static bool number_of(const char *text, uint64_t *out)
{
    return tm_parse_u64(tm_view_str(text), out) == TM_OK;
}

int main(int argc, char **argv)
{
    uint64_t first = 0, second = 0;
    if (argc > 4 && strcmp(argv[1], "kill") == 0 && number_of(argv[2], &first) &&
        (strcmp(argv[3], "before") == 0 || strcmp(argv[3], "after") == 0)) {
        g.kill_mode = true;
        g.kill_at = first;
        g.before = argv[3][0] == 'b';
    } else if (argc > 4 && strcmp(argv[1], "stop") == 0 && number_of(argv[2], &first) &&
               number_of(argv[3], &second) && first <= INT_MAX && second <= INT_MAX) {
        g.from = (int)first;
        g.to = (int)second;
    } else {
        fprintf(stderr, "usage: powercut kill N before|after PROGRAM [ARGUMENTS...]\n"
                        "       powercut stop FROM TO PROGRAM [ARGUMENTS...]\n");
        return 2;
    }
    return run(argv + 4);
}
