/* SPDX-License-Identifier: Apache-2.0 */
#include "node/transport/gate.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "node/transport/gate_serve.h"
#include "node/transport/port.h"
#include "node/transport/relay.h"
#include "node/transport/transport_private.h"

#define START_MS 10000 /* until it must listen */
#define RESTART_MS 500 /* from one start to the next */
#define LINK_BYTES (1 << 20)
#define END_MS 2000 /* for the last messages to go out */
#define BULK_WAITING_MAX (512u * 1024)
#define CONTROL_WAITING_MAX (2u * 1024 * 1024)
#define ORDERS_WAITING_MAX (8u * 1024 * 1024)

struct key_list {
    uint8_t (*keys)[TM_CURVE_KEY_BYTES];
    size_t count, capacity;
};

struct tm_gate {
    struct tm_gate_options options;
    struct key_list allow;          /* Ed25519 */
    struct key_list denied;         /* transport keys */
    char endpoint[TM_ENDPOINT_MAX]; /* where to listen; after the first start without port 0 */
    struct tm_relay *relay;         /* NULL: no gate */
    pid_t pid;
    bool listening, ever_listened;
    uint64_t started_ms, ended_ms;
};

static tm_status list_add(struct key_list *list, const uint8_t key[TM_CURVE_KEY_BYTES])
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 16 : list->capacity * 2;
        void *grown = tm_realloc_array(list->keys, capacity, TM_CURVE_KEY_BYTES);
        if (grown == NULL) {
            return TM_E_NOMEM;
        }
        list->keys = grown;
        list->capacity = capacity;
    }
    memcpy(list->keys[list->count++], key, TM_CURVE_KEY_BYTES);
    return TM_OK;
}

/* ---- the process ----------------------------------------------------------------------------- */

/* Starts it with the descriptor as its only one besides the standard streams, all signals as in a
 * new program. */
static int spawn(const char *program, int fd, pid_t *pid)
{
    char name[] = "tmill";
    char command[] = TM_GATE_COMMAND;
    char *argv[] = {name, command, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    int code = posix_spawn_file_actions_adddup2(&files, fd, TM_GATE_FD);
    if (code == 0) {
        code = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    }
    if (code == 0) {
        code = posix_spawn_file_actions_adddup2(&files, 2, 1); /* stdout is for results */
    }
    if (code == 0) {
        code = posix_spawn_file_actions_addclosefrom_np(&files, TM_GATE_FD + 1);
    }
    if (code == 0) {
        code = posix_spawn(pid, program, &files, &attributes, argv, environ);
    }
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    return code;
}

/* Kills it if it lives; how it ended, in words. */
static void end_process(struct tm_gate *g, char why[64])
{
    int state = 0;
    tm_relay_destroy(&g->relay);
    g->listening = false;
    snprintf(why, 64, "gone");
    if (g->pid <= 0) {
        return;
    }
    pid_t ended = waitpid(g->pid, &state, WNOHANG);
    if (ended == 0) {
        kill(g->pid, SIGKILL);
        while ((ended = waitpid(g->pid, &state, 0)) < 0 && errno == EINTR) {
        }
    }
    if (ended == g->pid && WIFSIGNALED(state)) {
        snprintf(why, 64, "signal %d", WTERMSIG(state));
    } else if (ended == g->pid && WIFEXITED(state)) {
        snprintf(why, 64, "exit code %d", WEXITSTATUS(state));
    }
    g->pid = 0;
}

/* ---- start ----------------------------------------------------------------------------------- */

static tm_status order(struct tm_gate *g, enum tm_relay_type type, const uint8_t *key, uint8_t kind,
                       struct tm_view data)
{
    struct tm_relay_head head = {.type = type, .kind = kind};
    if (key != NULL) {
        memcpy(head.key, key, sizeof head.key);
    }
    tm_status status = tm_relay_send(g->relay, &head, data, ORDERS_WAITING_MAX);
    tm_wipe(&head, sizeof head);
    return status;
}

/* Who may come in goes before where to listen. */
static tm_status give_orders(struct tm_gate *g)
{
    uint8_t memory[8];
    uint8_t secret[TM_CURVE_KEY_BYTES];
    struct tm_view nothing = tm_view_of(NULL, 0);
    uint64_t bytes = g->options.memory_bytes;
    tm_set_u64(memory, bytes != 0 ? bytes : TM_GATE_MEMORY_BYTES);
    for (size_t i = 0; i < g->allow.count; i++) {
        TM_TRY(order(g, TM_RELAY_ALLOW, g->allow.keys[i], 0, nothing));
    }
    tm_identity_curve_secret(g->options.identity, secret);
    tm_status status =
        order(g, TM_RELAY_SETUP, secret, g->options.allow_any, tm_view_of(memory, sizeof memory));
    tm_wipe(secret, sizeof secret);
    TM_TRY(status);
    for (size_t i = 0; i < g->denied.count; i++) {
        TM_TRY(order(g, TM_RELAY_DENY, g->denied.keys[i], 0, nothing));
    }
    return order(g, TM_RELAY_LISTEN, NULL, 0, tm_view_str(g->endpoint));
}

static tm_status start(struct tm_gate *g, struct tm_err *err)
{
    static const char what[] = "start the gate";
    int fds[2];
    int bytes = LINK_BYTES;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
        return tm_err_set_os(err, errno, "socketpair", what);
    }
    (void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    (void)setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    g->started_ms = tm_clock_ms(tm_clock_os());
    int code = spawn(g->options.program, fds[1], &g->pid);
    close(fds[1]);
    if (code != 0) {
        g->pid = 0;
        close(fds[0]);
        return tm_err_set_os(err, code, g->options.program, what);
    }
    TM_TRY(tm_relay_new(fds[0], &g->relay, err));
    return give_orders(g) == TM_OK
               ? TM_OK
               : tm_err_set(err, TM_E_INTERNAL, NULL, what, NULL, "it ended at once");
}

/* The reason that a gate gave; its texts are not trusted to end. */
static tm_status take_failure(struct tm_view data, struct tm_err *err)
{
    struct tm_err given;
    if (data.bytes != sizeof given) {
        return tm_err_set(err, TM_E_INTERNAL, NULL, "start the gate", NULL, "no reason given");
    }
    memcpy(&given, data.data, sizeof given);
    given.where[sizeof given.where - 1] = given.what[sizeof given.what - 1] = '\0';
    given.why[sizeof given.why - 1] = given.hint[sizeof given.hint - 1] = '\0';
    tm_status status =
        given.status > TM_OK && given.status < TM_STATUS_COUNT ? given.status : TM_E_INTERNAL;
    return tm_err_set(err, status, given.where, given.what, given.hint, "%s", given.why);
}

static void take_ready(struct tm_gate *g, struct tm_view data)
{
    if (data.bytes < sizeof g->endpoint) {
        memcpy(g->endpoint, data.data, data.bytes);
        g->endpoint[data.bytes] = '\0';
    }
    g->listening = true;
    if (g->ever_listened) {
        TM_EVENT(g->options.sink, TM_LEVEL_WARN, "gate.restarted",
                 {.key = "after_ms", .number = tm_clock_ms(tm_clock_os()) - g->ended_ms},
                 {.key = "process", .number = (uint64_t)g->pid});
    }
    g->ever_listened = true;
}

static tm_status wait_ready(struct tm_gate *g, struct tm_err *err)
{
    struct tm_relay_head head;
    struct tm_view data;
    for (;;) {
        tm_status status = tm_relay_receive(g->relay, &head, &data);
        uint64_t waited = tm_clock_ms(tm_clock_os()) - g->started_ms;
        if (status == TM_OK && head.type == TM_RELAY_READY) {
            take_ready(g, data);
            return TM_OK;
        }
        if (status == TM_OK && head.type == TM_RELAY_FAILED) {
            return take_failure(data, err);
        }
        if (status != TM_E_NOTHING || waited >= START_MS || tm_relay_flush(g->relay) != TM_OK) {
            return tm_err_set(err, TM_E_INTERNAL, g->options.program, "start the gate", NULL,
                              waited >= START_MS ? "no answer" : "it ended at once");
        }
        struct tm_poll_item item = tm_relay_poll(g->relay);
        tm_poll(&item, 1, (int)(START_MS - waited));
    }
}

static tm_status copy_allow(struct tm_gate *g, const struct tm_gate_options *options,
                            struct tm_err *err)
{
    uint8_t curve[TM_CURVE_KEY_BYTES];
    for (size_t i = 0; i < options->allow_count; i++) {
        if (tm_public_key_curve(&options->allow[i], curve) != TM_OK) {
            return tm_err_set(err, TM_E_USAGE, NULL, "read the allowed keys", NULL,
                              "key %zu of the list is not a point of the curve", i + 1);
        }
        if (list_add(&g->allow, options->allow[i].b) != TM_OK) {
            return tm_err_set(err, TM_E_NOMEM, NULL, "start the gate", NULL, "out of memory");
        }
    }
    return TM_OK;
}

tm_status tm_gate_new(const struct tm_gate_options *options, struct tm_gate **out,
                      struct tm_err *err)
{
    *out = NULL;
    TM_TRY(tm_endpoint_check_tcp(options->listen, err));
    struct tm_gate *g = tm_calloc(1, sizeof *g);
    if (g == NULL) {
        return tm_err_set(err, TM_E_NOMEM, NULL, "start the gate", NULL, "out of memory");
    }
    g->options = *options;
    snprintf(g->endpoint, sizeof g->endpoint, "%s", options->listen);
    tm_status status = copy_allow(g, options, err);
    if (status == TM_OK) {
        status = start(g, err);
    }
    if (status == TM_OK) {
        status = wait_ready(g, err);
    }
    if (status != TM_OK) {
        tm_gate_destroy(&g);
        return status;
    }
    *out = g;
    return TM_OK;
}

/* Lets it send what it was given (that a job is done, for one) and end by itself. */
static void let_finish(struct tm_gate *g)
{
    struct tm_relay_head head;
    struct tm_view data;
    uint64_t end = tm_clock_ms(tm_clock_os()) + END_MS;
    bool finished = false;
    siginfo_t ended = {.si_pid = 0};
    while (g->listening && tm_clock_ms(tm_clock_os()) < end) {
        bool all = tm_relay_flush(g->relay) == TM_OK && tm_relay_waiting(g->relay) == 0;
        if (all && !finished) {
            tm_relay_finish(g->relay);
            finished = true;
        }
        while (tm_relay_receive(g->relay, &head, &data) == TM_OK) {
        }
        if (waitid(P_PID, (id_t)g->pid, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 ||
            ended.si_pid != 0) {
            return;
        }
        tm_poll(NULL, 0, 2);
    }
}

void tm_gate_destroy(struct tm_gate **gate)
{
    struct tm_gate *g = *gate;
    char ignored[64];
    if (g == NULL) {
        return;
    }
    let_finish(g);
    end_process(g, ignored);
    tm_free(g->allow.keys);
    tm_free(g->denied.keys);
    tm_free(g);
    *gate = NULL;
}

const char *tm_gate_endpoint(const struct tm_gate *gate)
{
    return gate->endpoint;
}

int64_t tm_gate_process(const struct tm_gate *gate)
{
    return gate->pid;
}

/* ---- at work --------------------------------------------------------------------------------- */

static void on_end(struct tm_gate *g)
{
    char why[64];
    end_process(g, why);
    g->ended_ms = tm_clock_ms(tm_clock_os());
    TM_EVENT(g->options.sink, TM_LEVEL_WARN, "gate.ended", {.key = "why", .text = why});
}

static void start_again(struct tm_gate *g)
{
    struct tm_err err;
    char ignored[64];
    if (start(g, &err) != TM_OK) {
        TM_EVENT(g->options.sink, TM_LEVEL_WARN, "gate.failed", {.key = "why", .text = err.why});
        end_process(g, ignored);
    }
}

/* false: the gate has broken the rules and is to be ended. */
static bool take(struct tm_gate *g, const struct tm_relay_head *head, struct tm_view data,
                 struct tm_gate_event *event)
{
    struct tm_err err;
    event->kind = head->kind;
    event->frame.route = head->route;
    switch (head->type) {
    case TM_RELAY_READY:
        take_ready(g, data);
        return true;
    case TM_RELAY_FAILED:
        (void)take_failure(data, &err);
        TM_EVENT(g->options.sink, TM_LEVEL_WARN, "gate.failed", {.key = "why", .text = err.why});
        return true; /* and it ends */
    case TM_RELAY_FRAME:
        event->news = TM_GATE_FRAME;
        event->frame.has_key = true;
        memcpy(event->frame.key, head->key, sizeof head->key);
        event->frame.data = data;
        zmq_msg_init((zmq_msg_t *)event->frame.message);
        return true;
    case TM_RELAY_SENT:
        event->news = TM_GATE_SENT;
        return true;
    case TM_RELAY_LOST:
        event->news = TM_GATE_LOST;
        return true;
    default:
        return false;
    }
}

enum tm_gate_news tm_gate_receive(struct tm_gate *gate, struct tm_gate_event *event)
{
    struct tm_relay_head head;
    struct tm_view data;
    *event = (struct tm_gate_event){.news = TM_GATE_NOTHING};
    uint64_t age_ms = tm_clock_ms(tm_clock_os()) - gate->started_ms;
    if (gate->relay == NULL && age_ms >= RESTART_MS) {
        start_again(gate);
    } else if (gate->relay != NULL && !gate->listening && age_ms >= START_MS) {
        on_end(gate); /* stuck */
    }
    while (gate->relay != NULL && event->news == TM_GATE_NOTHING) {
        tm_status status = tm_relay_receive(gate->relay, &head, &data);
        if (status == TM_E_NOTHING) {
            status = tm_relay_flush(gate->relay);
            if (status == TM_OK) {
                break;
            }
        }
        if (status != TM_OK || !take(gate, &head, data, event)) {
            on_end(gate);
            event->news = TM_GATE_ENDED;
        }
    }
    return event->news;
}

tm_status tm_gate_send(struct tm_gate *gate, int kind, const struct tm_route *route,
                       struct tm_view data)
{
    struct tm_relay_head head = {.type = TM_RELAY_FRAME, .kind = (uint8_t)kind, .route = *route};
    if (!gate->listening) {
        return TM_E_NOT_FOUND;
    }
    tm_status status = tm_relay_send(gate->relay, &head, data,
                                     kind == TM_PORT_BULK ? BULK_WAITING_MAX : CONTROL_WAITING_MAX);
    return status == TM_OK || status == TM_E_LIMIT ? status : TM_E_NOT_FOUND;
}

tm_status tm_gate_deny(struct tm_gate *gate, const uint8_t key[TM_CURVE_KEY_BYTES])
{
    TM_TRY(list_add(&gate->denied, key));
    if (gate->relay != NULL) { /* one that just died, or is stuck, hears it when it starts */
        (void)!order(gate, TM_RELAY_DENY, key, 0, tm_view_of(NULL, 0));
    }
    return TM_OK;
}

size_t tm_gate_poll(const struct tm_gate *gate, struct tm_poll_item *items)
{
    if (gate->relay == NULL) {
        return 0;
    }
    items[0] = tm_relay_poll(gate->relay);
    return 1;
}
