/* SPDX-License-Identifier: Apache-2.0 */
#include "node/transport/transport.h"

#include <czmq.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/num.h"
#include "crypto/digest.h"
#include "node/transport/transport_private.h"
#include "node/transport/zap.h"

/* Debian's headers hide it as a draft; the library honours it (read back by the test). */
#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
#define ZMQ_ZAP_ENFORCE_DOMAIN 93
#endif

#define HANDSHAKE_MS 3000
#define HEARTBEAT_MS 5000
#define HEARTBEAT_TIMEOUT_MS 15000
#define LINGER_MS 500
#define RECONNECT_MS 250
#define RECONNECT_MAX_MS 15000
#define SOCKETS_MAX 16384
#define FILES_MAX 32   /* of libzmq's context and threads */
#define SOCKET_FILES 4 /* of a socket, before peers come */

_Static_assert(sizeof(zmq_msg_t) == sizeof(((struct tm_frame *)0)->message), "zmq_msg_t");

tm_status tm_transport_fail(struct tm_err *err, const char *where, const char *what)
{
    int code = zmq_errno();
    switch (code) {
    case EADDRINUSE:
        return tm_err_set(err, TM_E_REFUSED, where, what, "choose another port",
                          "the address is already in use");
    case EACCES:
        return tm_err_set(err, TM_E_REFUSED, where, what, "choose a port above 1023",
                          "permission denied");
    case EADDRNOTAVAIL:
    case ENODEV:
        return tm_err_set(err, TM_E_USAGE, where, what, "name an address of this machine",
                          "no such address here");
    case EINVAL:
    case EPROTONOSUPPORT:
        return tm_err_set(err, TM_E_USAGE, where, what, "write it as tcp://HOST:PORT",
                          "not an endpoint");
    case EMFILE:
        return tm_err_set(err, TM_E_LIMIT, where, what, "raise ulimit -n",
                          "too many open files or sockets");
    case ENOMEM:
        return tm_err_set(err, TM_E_NOMEM, where, what, NULL, "out of memory");
    default:
        return tm_err_set(err, TM_E_NETWORK, where, what, NULL, "%s", zmq_strerror(code));
    }
}

static atomic_uint serials;

/* CZMQ keeps one context a process. Signals stay with the program: CZMQ must not take them. */
static void set_up_czmq(void)
{
    zsys_handler_set(NULL);
    (void)zsys_init();
    zsys_set_max_sockets(SOCKETS_MAX);
    zsys_set_pipehwm(0); /* a pipe carries pointers and is bounded by who sends */
}

static void *czmq_context(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_up_czmq);
    return zsys_init();
}

/* ---- signals ---- */

/* Each call of libzmq looks at its mailbox with poll, which ends with EINTR when a signal has come
 * meanwhile. CZMQ makes assertions and endless waits of that, so signals come in a wait of ours or
 * not at all. The handlers only set a flag that is looked at after each wait. */
static _Thread_local unsigned held;
static _Thread_local sigset_t mask_before;

static void hold_signals(void)
{
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    if (held++ == 0) {
        pthread_sigmask(SIG_BLOCK, &stop, &mask_before);
    }
}

static void let_signals_in(void)
{
    if (held > 0 && --held == 0) {
        pthread_sigmask(SIG_SETMASK, &mask_before, NULL);
    }
}

int tm_transport_poll(zmq_pollitem_t *items, int count, long timeout_ms)
{
    sigset_t mask;
    if (held == 0) {
        return zmq_poll(items, count, timeout_ms);
    }
    pthread_sigmask(SIG_SETMASK, &mask_before, &mask);
    int rc = zmq_poll(items, count, timeout_ms);
    int code = zmq_errno();
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    errno = code;
    return rc;
}

/* ---- what the system has left ---- */

static void *do_nothing(void *context)
{
    return context;
}

tm_status tm_transport_no_thread(const char *what, struct tm_err *err)
{
    return tm_err_set(err, TM_E_LIMIT, NULL, what, "raise the limit of processes (ulimit -u)",
                      "no further thread can be started: out of memory or over a limit");
}

tm_status tm_transport_room(unsigned files, const char *what, struct tm_err *err)
{
    int fds[FILES_MAX];
    unsigned count = 0;
    pthread_t thread;
    TM_ASSERT(files <= FILES_MAX);
    while (count < files && (fds[count] = eventfd(0, EFD_CLOEXEC)) >= 0) {
        count++;
    }
    int code = count < files ? errno : 0;
    while (count > 0) {
        close(fds[--count]);
    }
    if (code != 0) {
        return tm_err_set_os(err, code, NULL, what);
    }
    if (pthread_create(&thread, NULL, do_nothing, NULL) != 0) {
        return tm_transport_no_thread(what, err);
    }
    pthread_join(thread, NULL);
    return TM_OK;
}

/* ---- transports ---- */

tm_status tm_transport_new(struct tm_transport **out, struct tm_err *err)
{
    *out = NULL;
    TM_TRY(tm_transport_room(FILES_MAX, "start the transport", err));
    struct tm_transport *t = tm_calloc(1, sizeof *t);
    if (t == NULL) {
        return tm_err_set(err, TM_E_NOMEM, NULL, "start the transport", NULL, "out of memory");
    }
    hold_signals();
    t->zmq = czmq_context();
    t->serial = atomic_fetch_add(&serials, 1);
    if (t->zmq == NULL || !zmq_has("curve")) {
        tm_status status =
            t->zmq == NULL
                ? tm_transport_fail(err, NULL, "start the transport")
                : tm_err_set(err, TM_E_INCOMPATIBLE, NULL, "start the transport",
                             "use a libzmq built with libsodium", "this libzmq has no CURVE");
        tm_transport_destroy(&t);
        return status;
    }
    *out = t;
    return TM_OK;
}

void tm_transport_destroy(struct tm_transport **transport)
{
    struct tm_transport *t = *transport;
    if (t == NULL) {
        return;
    }
    tm_zap_stop(t);
    tm_free(t);
    let_signals_in();
    *transport = NULL;
}

/* ---- sockets ---- */

/* By libzmq's own call, whose answer can be checked: CZMQ's setters assert. */
static bool set_int(struct tm_socket *s, int option, int value)
{
    return zmq_setsockopt(s->zmq, option, &value, sizeof value) == 0;
}

static bool set_key(struct tm_socket *s, int option, const uint8_t key[TM_CURVE_KEY_BYTES])
{
    return zmq_setsockopt(s->zmq, option, key, TM_CURVE_KEY_BYTES) == 0;
}

static bool set_limits(struct tm_socket *s, const struct tm_socket_options *options)
{
    int queue = (int)options->queue_messages;
    int64_t bytes_max = options->message_bytes_max;
    bool good = set_int(s, ZMQ_SNDHWM, queue) && set_int(s, ZMQ_RCVHWM, queue) &&
                zmq_setsockopt(s->zmq, ZMQ_MAXMSGSIZE, &bytes_max, sizeof bytes_max) == 0 &&
                set_int(s, ZMQ_LINGER, LINGER_MS) && set_int(s, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) &&
                set_int(s, ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS) &&
                set_int(s, ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS) &&
                set_int(s, ZMQ_HEARTBEAT_TTL, HEARTBEAT_TIMEOUT_MS);
    if (options->kind == TM_SOCKET_ROUTER) {
        return good && set_int(s, ZMQ_ROUTER_MANDATORY, 1);
    }
    return good && set_int(s, ZMQ_RECONNECT_IVL, RECONNECT_MS) &&
           set_int(s, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS);
}

static bool set_curve(struct tm_socket *s, const struct tm_socket_options *options)
{
    uint8_t key[TM_CURVE_KEY_BYTES];
    if (options->curve_secret != NULL) {
        memcpy(key, options->curve_secret, sizeof key);
    } else {
        tm_identity_curve_secret(options->identity, key);
    }
    bool good = set_key(s, ZMQ_CURVE_SECRETKEY, key);
    tm_wipe(key, sizeof key);
    if (options->kind == TM_SOCKET_ROUTER) {
        return good && set_int(s, ZMQ_CURVE_SERVER, 1) &&
               zmq_setsockopt(s->zmq, ZMQ_ZAP_DOMAIN, TM_ZAP_DOMAIN, strlen(TM_ZAP_DOMAIN)) == 0 &&
               set_int(s, ZMQ_ZAP_ENFORCE_DOMAIN, 1);
    }
    return good && tm_public_key_curve(tm_identity_public(options->identity), key) == TM_OK &&
           set_key(s, ZMQ_CURVE_PUBLICKEY, key) &&
           tm_public_key_curve(options->server_key, key) == TM_OK &&
           set_key(s, ZMQ_CURVE_SERVERKEY, key);
}

tm_status tm_socket_new(struct tm_transport *transport, const struct tm_socket_options *options,
                        struct tm_socket **out, struct tm_err *err)
{
    static const char what[] = "open a socket";
    *out = NULL;
    TM_TRY(tm_transport_room(SOCKET_FILES, what, err));
    struct tm_socket *s = tm_calloc(1, sizeof *s);
    if (s == NULL) {
        return tm_err_set(err, TM_E_NOMEM, NULL, what, NULL, "out of memory");
    }
    bool router = options->kind == TM_SOCKET_ROUTER;
    s->transport = transport;
    s->kind = options->kind;
    s->curve = router ? options->identity != NULL || options->curve_secret != NULL
                      : options->identity != NULL && options->server_key != NULL;
    s->zsock = zsock_new(router ? ZMQ_ROUTER : ZMQ_DEALER);
    s->zmq = s->zsock != NULL ? zsock_resolve(s->zsock) : NULL;
    if (s->zmq == NULL || !set_limits(s, options) || (s->curve && !set_curve(s, options))) {
        tm_status status = tm_transport_fail(err, NULL, what);
        tm_socket_destroy(&s);
        return status;
    }
    *out = s;
    return TM_OK;
}

void tm_socket_drop(struct tm_socket **socket)
{
    if (*socket != NULL) {
        (void)!set_int(*socket, ZMQ_LINGER, 0);
    }
    tm_socket_destroy(socket);
}

void tm_socket_destroy(struct tm_socket **socket)
{
    struct tm_socket *s = *socket;
    if (s == NULL) {
        return;
    }
    zsock_destroy(&s->zsock);
    tm_free(s);
    *socket = NULL;
}

/* ---- endpoints ---- */

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* The port of "tcp://HOST:PORT", its first digit in *digits. */
static tm_status parse_tcp(const char *endpoint, const char **digits, uint64_t *port,
                           struct tm_err *err)
{
    const char *colon = strrchr(endpoint, ':');
    if (!starts_with(endpoint, "tcp://") || colon == NULL || colon <= endpoint + strlen("tcp://") ||
        strlen(endpoint) >= TM_ENDPOINT_MAX - 8 ||
        tm_parse_u64(tm_view_str(colon + 1), port) != TM_OK || *port > 65534) {
        return tm_err_set(err, TM_E_USAGE, endpoint, "read the endpoint",
                          "for example tcp://192.168.1.10:8471",
                          "not of the form tcp://HOST:PORT with a port up to 65534");
    }
    *digits = colon + 1;
    return TM_OK;
}

tm_status tm_endpoint_check_tcp(const char *endpoint, struct tm_err *err)
{
    const char *digits;
    uint64_t port;
    return parse_tcp(endpoint, &digits, &port, err);
}

tm_status tm_endpoint_next(const char *endpoint, char out[TM_ENDPOINT_MAX], struct tm_err *err)
{
    if (starts_with(endpoint, "inproc://") && strlen(endpoint) < TM_ENDPOINT_MAX - 8) {
        snprintf(out, TM_ENDPOINT_MAX, "%s-next", endpoint);
        return TM_OK;
    }
    const char *digits = endpoint;
    uint64_t port = 0;
    TM_TRY(parse_tcp(endpoint, &digits, &port, err));
    snprintf(out, TM_ENDPOINT_MAX, "%.*s%u", (int)(digits - endpoint), endpoint,
             (unsigned)port + 1);
    return TM_OK;
}

/* tcp needs CURVE, and a server its ZAP handler as well: without one libzmq lets every key in. */
static tm_status allow_endpoint(struct tm_socket *s, const char *endpoint, bool server,
                                struct tm_err *err)
{
    const char *what = server ? "listen" : "connect";
    if (starts_with(endpoint, "inproc://")) {
        return TM_OK;
    }
    TM_TRY(tm_endpoint_check_tcp(endpoint, err));
    if (!s->curve) {
        return tm_err_set(err, TM_E_REFUSED, endpoint, what, NULL,
                          "a network socket without keys is never opened");
    }
    if (server && s->transport->zap == NULL) {
        return tm_err_set(err, TM_E_REFUSED, endpoint, what, NULL,
                          "no ZAP handler runs: every key would be let in");
    }
    if (strchr(endpoint, '[') != NULL && !set_int(s, ZMQ_IPV6, 1)) {
        return tm_transport_fail(err, endpoint, what);
    }
    return TM_OK;
}

/* inproc names live in the one context of the process: each transport has its own. */
static const char *own_name(const struct tm_socket *s, const char *endpoint,
                            char out[TM_ENDPOINT_MAX + 16])
{
    if (starts_with(endpoint, "inproc://")) {
        snprintf(out, TM_ENDPOINT_MAX + 16, "inproc://%u-%.*s", s->transport->serial,
                 TM_ENDPOINT_MAX - 16, endpoint + strlen("inproc://"));
        return out;
    }
    return endpoint;
}

tm_status tm_socket_bind(struct tm_socket *socket, const char *endpoint,
                         char bound[TM_ENDPOINT_MAX], struct tm_err *err)
{
    TM_TRY(allow_endpoint(socket, endpoint, true, err));
    size_t bytes = TM_ENDPOINT_MAX;
    char name[TM_ENDPOINT_MAX + 16];
    if (zmq_bind(socket->zmq, own_name(socket, endpoint, name)) != 0) {
        return tm_transport_fail(err, endpoint, "listen");
    }
    if (starts_with(endpoint, "inproc://")) {
        snprintf(bound, TM_ENDPOINT_MAX, "%.*s", TM_ENDPOINT_MAX - 1, endpoint);
    } else if (zmq_getsockopt(socket->zmq, ZMQ_LAST_ENDPOINT, bound, &bytes) != 0) {
        return tm_transport_fail(err, endpoint, "listen");
    }
    return TM_OK;
}

tm_status tm_socket_unbind(struct tm_socket *socket, const char *bound, struct tm_err *err)
{
    char name[TM_ENDPOINT_MAX + 16];
    return zmq_unbind(socket->zmq, own_name(socket, bound, name)) == 0
               ? TM_OK
               : tm_transport_fail(err, bound, "unbind");
}

tm_status tm_socket_connect(struct tm_socket *socket, const char *endpoint, struct tm_err *err)
{
    TM_TRY(allow_endpoint(socket, endpoint, false, err));
    char name[TM_ENDPOINT_MAX + 16];
    return zmq_connect(socket->zmq, own_name(socket, endpoint, name)) == 0
               ? TM_OK
               : tm_transport_fail(err, endpoint, "connect");
}

/* ---- messages ---- */

/* Reads away the rest of a message that has too many frames. */
static void drain(struct tm_socket *s)
{
    int more = 1;
    while (more != 0) {
        zmq_msg_t msg;
        zmq_msg_init(&msg);
        more = zmq_msg_recv(&msg, s->zmq, ZMQ_DONTWAIT) >= 0 ? zmq_msg_more(&msg) : 0;
        zmq_msg_close(&msg);
    }
}

/* The routing id frame of a ROUTER. */
static tm_status receive_route(struct tm_socket *s, struct tm_route *route, bool *usable)
{
    zmq_msg_t id;
    zmq_msg_init(&id);
    if (zmq_msg_recv(&id, s->zmq, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(&id);
        return zmq_errno() == EAGAIN || zmq_errno() == EINTR ? TM_E_NOTHING : TM_E_NETWORK;
    }
    size_t bytes = zmq_msg_size(&id);
    *usable = zmq_msg_more(&id) != 0 && bytes <= TM_ROUTE_BYTES_MAX;
    if (*usable) {
        route->bytes = (uint8_t)bytes;
        memcpy(route->b, zmq_msg_data(&id), bytes);
    } else if (zmq_msg_more(&id)) {
        drain(s); /* a peer that chose a long routing id: none of ours does */
    }
    zmq_msg_close(&id);
    return TM_OK;
}

#ifdef TM_TSAN
__attribute__((no_sanitize("thread"))) static void *unwatched_copy(const void *data, size_t bytes)
{
    uint8_t *copy = tm_alloc(bytes);
    const volatile uint8_t *from = data;
    for (size_t i = 0; copy != NULL && i < bytes; i++) {
        ((volatile uint8_t *)copy)[i] = from[i];
    }
    return copy;
}
#endif

/* The one data frame; *usable is false when it is not the last, or without a key on CURVE. */
static tm_status receive_data(struct tm_socket *s, struct tm_frame *out, bool *usable)
{
    zmq_msg_t *msg = (zmq_msg_t *)out->message;
    zmq_msg_init(msg);
    if (zmq_msg_recv(msg, s->zmq, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close(msg);
        return zmq_errno() == EAGAIN || zmq_errno() == EINTR ? TM_E_NOTHING : TM_E_NETWORK;
    }
    if (zmq_msg_more(msg)) {
        drain(s);
        *usable = false;
        return TM_OK;
    }
    if (s->curve && s->kind == TM_SOCKET_ROUTER) {
        const char *user = zmq_msg_gets(msg, "User-Id");
        out->has_key =
            user != NULL && tm_hex_decode(tm_view_str(user), out->key, sizeof out->key) == TM_OK;
        *usable = out->has_key;
    }
    out->data = tm_view_of(zmq_msg_data(msg), zmq_msg_size(msg));
#ifdef TM_TSAN
    out->copy = unwatched_copy(out->data.data, out->data.bytes);
    out->data.data = out->copy;
    *usable = *usable && out->copy != NULL;
#endif
    return TM_OK;
}

tm_status tm_socket_receive(struct tm_socket *socket, struct tm_frame *out)
{
    for (;;) {
        *out = (struct tm_frame){0};
        bool usable = true;
        if (socket->kind == TM_SOCKET_ROUTER) {
            TM_TRY(receive_route(socket, &out->route, &usable));
            if (!usable) {
                socket->dropped++;
                continue;
            }
        }
        TM_TRY(receive_data(socket, out, &usable));
        if (usable) {
            return TM_OK;
        }
        socket->dropped++;
        tm_frame_deinit(out);
    }
}

void tm_frame_deinit(struct tm_frame *frame)
{
    tm_free(frame->copy);
    frame->copy = NULL;
    zmq_msg_close((zmq_msg_t *)frame->message);
}

tm_status tm_socket_send(struct tm_socket *socket, const struct tm_route *route,
                         struct tm_view data)
{
    TM_ASSERT((route != NULL) == (socket->kind == TM_SOCKET_ROUTER));
    bool sent = route == NULL ||
                zmq_send(socket->zmq, route->b, route->bytes, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0;
    if (sent && zmq_send(socket->zmq, data.data, data.bytes, ZMQ_DONTWAIT) >= 0) {
        return TM_OK;
    }
    switch (zmq_errno()) {
    case EAGAIN:
    case EINTR:
        return TM_E_LIMIT;
    case EHOSTUNREACH:
        return TM_E_NOT_FOUND;
    default:
        return TM_E_NETWORK;
    }
}

uint64_t tm_socket_dropped(const struct tm_socket *socket)
{
    return socket->dropped;
}
