/* SPDX-License-Identifier: Apache-2.0 */
#include "node/transport/gate_serve.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/os.h"
#include "node/transport/port.h"
#include "node/transport/relay.h"
#include "node/transport/zap.h"

#define OPEN_FILES 16384
#define RETRY_MS 2 /* a peer's queue was full */
#define BATCH 64   /* messages before the coordinator's are looked at again */
#define NOTES_BYTES_MAX (4u << 20)
#define PARKED_MAX 4096 /* messages: 16 a peer, by the window of the coordinator */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

/* A message for a peer whose queue was full. */
struct parked {
    struct tm_route route;
    struct tm_buf data;
    struct parked *next;
};

struct gate {
    struct tm_transport *transport;
    struct tm_relay *relay;
    struct tm_port port;
    struct tm_public_key *allow;
    size_t allow_count, allow_capacity;
    uint8_t secret[TM_CURVE_KEY_BYTES];
    bool set_up, listening;
    struct parked *first, **last;
    size_t parked_count;
};

/* ---- limits ---- */

#ifndef SANITIZED
/* The first number of /proc/self/statm; 0 when it cannot be read. */
static uint64_t pages_mapped(void)
{
    char text[128];
    uint64_t pages = 0;
    int fd = tm_os_open("/proc/self/statm", O_RDONLY | O_CLOEXEC, 0);
    ssize_t got = -1;
    while (fd >= 0 && (got = read(fd, text, sizeof text - 1)) < 0 && errno == EINTR) {
    }
    if (fd >= 0) {
        close(fd);
    }
    text[got > 0 ? got : 0] = '\0';
    return tm_parse_u64(tm_view_of(text, strcspn(text, " ")), &pages) == TM_OK ? pages : 0;
}
#endif

/* What is mapped now, and memory_bytes more. Sanitizers map terabytes: no limit there. */
static tm_status limit_memory(uint64_t memory_bytes)
{
#ifdef SANITIZED
    (void)memory_bytes;
    return TM_OK;
#else
    uint64_t pages = pages_mapped();
    uint64_t bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE) + memory_bytes;
    struct rlimit limit = {bytes, bytes};
    return pages > 0 && setrlimit(RLIMIT_AS, &limit) == 0 ? TM_OK : TM_E_LIMIT;
#endif
}

/* A crash must not write the transport key to a disk, and the end of the coordinator is ours. */
static void become_a_gate(void)
{
    struct rlimit files;
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < OPEN_FILES) {
        files.rlim_cur = files.rlim_max < OPEN_FILES ? files.rlim_max : OPEN_FILES;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    (void)mallopt(M_ARENA_MAX, 1); /* each arena reserves 64 MiB of the limit */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN); /* of the terminal: the coordinator decides */
    signal(SIGTERM, SIG_DFL);
}

/* ---- what the coordinator says ---- */

static tm_status note(struct gate *g, enum tm_relay_type type, const struct tm_route *route,
                      struct tm_view data)
{
    struct tm_relay_head head = {.type = type, .kind = route != NULL};
    if (route != NULL) {
        head.route = *route;
    }
    return tm_relay_send(g->relay, &head, data, NOTES_BYTES_MAX);
}

static tm_status on_allow(struct gate *g, const uint8_t *key)
{
    if (g->allow_count == g->allow_capacity) {
        size_t capacity = g->allow_capacity == 0 ? 16 : g->allow_capacity * 2;
        struct tm_public_key *grown = tm_realloc_array(g->allow, capacity, sizeof *grown);
        if (grown == NULL) {
            return TM_E_NOMEM;
        }
        g->allow = grown;
        g->allow_capacity = capacity;
    }
    memcpy(g->allow[g->allow_count++].b, key, TM_PUBLIC_KEY_BYTES);
    return TM_OK;
}

static tm_status on_setup(struct gate *g, const struct tm_relay_head *head, struct tm_view data,
                          struct tm_err *err)
{
    struct tm_zap_options zap = {
        .allow_any = head->kind == 1, .allow = g->allow, .allow_count = g->allow_count};
    if (g->set_up || data.bytes != 8 || limit_memory(tm_get_u64(data.data)) != TM_OK) {
        return tm_err_set(err, TM_E_LIMIT, NULL, "start the gate", NULL,
                          "its memory cannot be limited");
    }
    TM_TRY(tm_transport_new(&g->transport, err));
    TM_TRY(tm_zap_start(g->transport, &zap, err));
    memcpy(g->secret, head->key, sizeof g->secret);
    g->set_up = true;
    return TM_OK;
}

static tm_status on_listen(struct gate *g, struct tm_view data, struct tm_err *err)
{
    char endpoint[TM_ENDPOINT_MAX];
    if (!g->set_up || g->listening || data.bytes >= sizeof endpoint) {
        return TM_E_MALFORMED;
    }
    memcpy(endpoint, data.data, data.bytes);
    endpoint[data.bytes] = '\0';
    struct tm_port_options port = {.transport = g->transport, .curve_secret = g->secret};
    tm_status status = tm_port_open(&g->port, &port, endpoint, err);
    tm_wipe(g->secret, sizeof g->secret);
    TM_TRY(status);
    g->listening = true;
    return note(g, TM_RELAY_READY, NULL, tm_view_str(g->port.endpoint));
}

/* ---- messages to peers ---- */

static tm_status park(struct gate *g, const struct tm_route *route, struct tm_view data)
{
    struct parked *p = g->parked_count < PARKED_MAX ? tm_calloc(1, sizeof *p) : NULL;
    if (p == NULL) {
        return note(g, TM_RELAY_LOST, route, tm_view_of(NULL, 0));
    }
    p->route = *route;
    tm_buf_init(&p->data, TM_RELAY_DATA_MAX);
    if (tm_buf_put(&p->data, data.data, data.bytes) != TM_OK) {
        tm_free(p);
        return note(g, TM_RELAY_LOST, route, tm_view_of(NULL, 0));
    }
    *g->last = p;
    g->last = &p->next;
    g->parked_count++;
    return TM_OK;
}

static bool same_route(const struct tm_route *a, const struct tm_route *b)
{
    return a->bytes == b->bytes && memcmp(a->b, b->b, a->bytes) == 0;
}

static bool is_parked(const struct gate *g, const struct tm_route *route)
{
    for (const struct parked *p = g->first; p != NULL; p = p->next) {
        if (same_route(&p->route, route)) {
            return true;
        }
    }
    return false;
}

/* A full control queue loses the message, as ever: all of them are said again. Bulk keeps its
 * order, and the coordinator's window counts what is here. */
static tm_status on_frame(struct gate *g, const struct tm_relay_head *head, struct tm_view data)
{
    if (!g->listening) {
        return TM_E_MALFORMED;
    }
    bool bulk = head->kind == TM_PORT_BULK;
    if (bulk && is_parked(g, &head->route)) {
        return park(g, &head->route, data);
    }
    tm_status status = tm_socket_send(g->port.socket[head->kind], &head->route, data);
    if (bulk && status == TM_E_LIMIT) {
        return park(g, &head->route, data);
    }
    struct tm_relay_head answer = *head;
    if (status == TM_OK || status == TM_E_LIMIT) {
        return bulk ? note(g, TM_RELAY_SENT, &head->route, tm_view_of(NULL, 0)) : TM_OK;
    }
    answer.type = TM_RELAY_LOST;
    return tm_relay_send(g->relay, &answer, tm_view_of(NULL, 0), NOTES_BYTES_MAX);
}

/* Whether an older message of its route is still here after this round. */
static bool must_wait(const struct gate *g, const struct parked *until)
{
    for (const struct parked *p = g->first; p != until; p = p->next) {
        if (same_route(&p->route, &until->route)) {
            return true;
        }
    }
    return false;
}

static tm_status send_parked(struct gate *g)
{
    struct parked **at = &g->first;
    tm_status noted = TM_OK;
    while (*at != NULL && noted == TM_OK) {
        struct parked *p = *at;
        tm_status status = must_wait(g, p) ? TM_E_LIMIT
                                           : tm_socket_send(g->port.socket[TM_PORT_BULK], &p->route,
                                                            tm_buf_view(&p->data));
        if (status == TM_E_LIMIT) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        g->parked_count--;
        noted = note(g, status == TM_OK ? TM_RELAY_SENT : TM_RELAY_LOST, &p->route,
                     tm_view_of(NULL, 0));
        tm_buf_deinit(&p->data);
        tm_free(p);
    }
    for (g->last = &g->first; *g->last != NULL; g->last = &(*g->last)->next) {
    }
    return noted;
}

static tm_status on_message(struct gate *g, const struct tm_relay_head *head, struct tm_view data,
                            struct tm_err *err)
{
    switch (head->type) {
    case TM_RELAY_ALLOW:
        return on_allow(g, head->key);
    case TM_RELAY_SETUP:
        return on_setup(g, head, data, err);
    case TM_RELAY_DENY:
        return g->set_up ? tm_zap_deny(g->transport, head->key) : TM_E_MALFORMED;
    case TM_RELAY_LISTEN:
        return on_listen(g, data, err);
    case TM_RELAY_FRAME:
        return on_frame(g, head, data);
    default:
        return TM_E_MALFORMED;
    }
}

static tm_status read_coordinator(struct gate *g, struct tm_err *err)
{
    struct tm_relay_head head;
    struct tm_view data;
    tm_status status;
    while ((status = tm_relay_receive(g->relay, &head, &data)) == TM_OK) {
        TM_TRY(on_message(g, &head, data, err));
    }
    return status == TM_E_NOTHING ? TM_OK : status;
}

/* ---- messages of peers ---- */

/* One message of the socket, if there is one. */
static tm_status give_on(struct gate *g, int kind, bool *any)
{
    struct tm_frame frame;
    if (tm_socket_receive(g->port.socket[kind], &frame) != TM_OK) {
        return TM_OK;
    }
    *any = true;
    tm_status status = TM_OK;
    if (!tm_zap_is_denied(g->transport, frame.key)) {
        struct tm_relay_head head = {
            .type = TM_RELAY_FRAME, .kind = (uint8_t)kind, .route = frame.route};
        memcpy(head.key, frame.key, sizeof head.key);
        status = tm_relay_send(g->relay, &head, frame.data, 0);
    }
    tm_frame_deinit(&frame);
    return status;
}

/* While the coordinator does not read, nothing is taken from the sockets: their queues fill, and
 * TCP slows the peers down. */
static tm_status read_peers(struct gate *g)
{
    bool any = g->listening;
    for (int i = 0; i < BATCH && any && tm_relay_waiting(g->relay) == 0; i++) {
        any = false;
        for (int kind = 0; kind < TM_PORT_KINDS && tm_relay_waiting(g->relay) == 0; kind++) {
            TM_TRY(give_on(g, kind, &any));
        }
    }
    return TM_OK;
}

/* ---- the loop ---- */

static tm_status turn(struct gate *g, struct tm_err *err)
{
    struct tm_poll_item items[1 + TM_PORT_KINDS] = {tm_relay_poll(g->relay)};
    size_t count = 1;
    if (g->listening && tm_relay_waiting(g->relay) == 0) {
        items[count++] = (struct tm_poll_item){.socket = g->port.socket[TM_PORT_CONTROL]};
        items[count++] = (struct tm_poll_item){.socket = g->port.socket[TM_PORT_BULK]};
    }
    tm_poll(items, count, g->first != NULL ? RETRY_MS : -1);
    TM_TRY(tm_relay_flush(g->relay));
    TM_TRY(read_coordinator(g, err));
    TM_TRY(send_parked(g));
    return read_peers(g);
}

static void end(struct gate *g)
{
    while (g->first != NULL) {
        struct parked *p = g->first;
        g->first = p->next;
        tm_buf_deinit(&p->data);
        tm_free(p);
    }
    tm_port_close(&g->port);
    tm_transport_destroy(&g->transport);
    tm_relay_destroy(&g->relay);
    tm_free(g->allow);
    tm_wipe(g, sizeof *g);
}

int tm_gate_serve(int fd)
{
    struct gate g = {.relay = NULL};
    struct tm_err err = {.status = TM_OK};
    g.last = &g.first;
    become_a_gate();
    tm_status status = tm_crypto_init(&err);
    if (status == TM_OK) {
        status = tm_relay_new(fd, &g.relay, &err);
    }
    while (status == TM_OK) {
        status = turn(&g, &err);
    }
    if (err.status != TM_OK && g.relay != NULL) {
        (void)!note(&g, TM_RELAY_FAILED, NULL, tm_view_of(&err, sizeof err));
        (void)!tm_relay_flush(g.relay);
    }
    end(&g);
    return tm_status_exit_code(status == TM_E_NETWORK ? TM_OK : status);
}
