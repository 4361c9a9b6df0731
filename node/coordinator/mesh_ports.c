/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coordinator/mesh_ports.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "node/transport/zap.h"
#include "proto/wire.h"
#include "scheduler/coordinator.h"

#define CONTROL_QUEUE 1000
#define BULK_QUEUE 16 /* x 256 KiB a piece */
#define PORT_TRIES 32

enum { CONTROL, BULK, KINDS };
enum { LOCAL, REMOTE, PORTS };

struct tm_mesh_ports {
    struct tm_mesh_ports_options options;
    struct tm_socket *socket[PORTS][KINDS]; /* NULL: port not open */
    char endpoint[TM_ENDPOINT_MAX];
    struct tm_mesh_peer **peers; /* stable addresses */
    size_t peer_count, peer_capacity;
    unsigned turn; /* which socket is asked first, so that none starves another */
    struct tm_frame frame;
    bool holds_frame;
    struct tm_msg msg;
    struct tm_buf out;
    uint64_t dropped;
};

/* ---- opening ---- */

static tm_status open_socket(struct tm_mesh_ports *p, int port, int kind, struct tm_err *err)
{
    struct tm_socket_options options = {
        .kind = TM_SOCKET_ROUTER,
        .identity = port == REMOTE ? p->options.identity : NULL,
        .message_bytes_max = kind == CONTROL ? TM_CONTROL_BYTES_MAX : TM_BULK_BYTES_MAX,
        .queue_messages = kind == CONTROL ? CONTROL_QUEUE : BULK_QUEUE,
    };
    return tm_socket_new(p->options.transport, &options, &p->socket[port][kind], err);
}

/* Binds control where it was asked to, and bulk to the port after it. */
static tm_status bind_pair(struct tm_mesh_ports *p, int port, const char *endpoint,
                           struct tm_err *err)
{
    char bulk[TM_ENDPOINT_MAX];
    char bound[TM_ENDPOINT_MAX];
    for (int tries = 1;; tries++) {
        TM_TRY(tm_socket_bind(p->socket[port][CONTROL], endpoint, bound, err));
        tm_status status = tm_endpoint_next(bound, bulk, err);
        if (status == TM_OK) {
            char ignored[TM_ENDPOINT_MAX];
            status = tm_socket_bind(p->socket[port][BULK], bulk, ignored, err);
        }
        if (status == TM_OK) {
            break;
        }
        size_t bytes = strlen(endpoint);
        bool any_port = bytes > 2 && strcmp(endpoint + bytes - 2, ":0") == 0;
        if (!any_port || tries == PORT_TRIES) {
            return status;
        }
        TM_TRY(tm_socket_unbind(p->socket[port][CONTROL], bound, err));
    }
    if (port == REMOTE) {
        memcpy(p->endpoint, bound, sizeof bound);
    }
    return TM_OK;
}

static tm_status open_port(struct tm_mesh_ports *p, int port, const char *endpoint,
                           struct tm_err *err)
{
    TM_TRY(open_socket(p, port, CONTROL, err));
    TM_TRY(open_socket(p, port, BULK, err));
    return bind_pair(p, port, endpoint, err);
}

/* "every address" is no address to connect to: on this machine it is 127.0.0.1. */
static void make_connectable(char endpoint[TM_ENDPOINT_MAX])
{
    static const char any[] = "tcp://0.0.0.0:";
    char port[16];
    if (strncmp(endpoint, any, strlen(any)) == 0) {
        snprintf(port, sizeof port, "%s", endpoint + strlen(any));
        snprintf(endpoint, TM_ENDPOINT_MAX, "tcp://127.0.0.1:%s", port);
    }
}

static tm_status write_ready(const struct tm_mesh_ports *p, struct tm_err *err)
{
    char key[TM_PUBLIC_KEY_TEXT];
    char text[TM_ENDPOINT_MAX + TM_PUBLIC_KEY_TEXT + 32];
    int n = snprintf(text, sizeof text, "endpoint=%s\nserver_key=%s\n", p->endpoint,
                     tm_public_key_text(tm_identity_public(p->options.identity), key));
    return tm_file_write_atomic(p->options.ready_file, 0644, tm_view_of(text, (size_t)n), err);
}

static tm_status open_all(struct tm_mesh_ports *p, struct tm_err *err)
{
    if (p->options.local) {
        TM_TRY(open_port(p, LOCAL, TM_LOCAL_ENDPOINT, err));
    }
    if (p->options.listen == NULL) {
        return TM_OK;
    }
    TM_TRY(tm_endpoint_check_tcp(p->options.listen, err));
    TM_TRY(open_port(p, REMOTE, p->options.listen, err));
    make_connectable(p->endpoint);
    return p->options.ready_file != NULL ? write_ready(p, err) : TM_OK;
}

tm_status tm_mesh_ports_new(const struct tm_mesh_ports_options *options, struct tm_mesh_ports **out,
                            struct tm_err *err)
{
    *out = NULL;
    struct tm_mesh_ports *p = tm_calloc(1, sizeof *p);
    if (p == NULL) {
        return tm_err_set(err, TM_E_NOMEM, NULL, "open the sockets", NULL, "out of memory");
    }
    p->options = *options;
    tm_buf_init(&p->out, TM_BULK_BYTES_MAX);
    tm_status status = open_all(p, err);
    if (status != TM_OK) {
        tm_mesh_ports_destroy(&p);
        return status;
    }
    *out = p;
    return TM_OK;
}

static void release_frame(struct tm_mesh_ports *p)
{
    if (p->holds_frame) {
        tm_frame_deinit(&p->frame);
        p->holds_frame = false;
    }
}

void tm_mesh_ports_destroy(struct tm_mesh_ports **ports)
{
    struct tm_mesh_ports *p = *ports;
    if (p == NULL) {
        return;
    }
    release_frame(p);
    for (int i = 0; i < PORTS * KINDS; i++) {
        tm_socket_destroy(&p->socket[i / KINDS][i % KINDS]);
    }
    for (size_t i = 0; i < p->peer_count; i++) {
        tm_free(p->peers[i]);
    }
    tm_free(p->peers);
    tm_buf_deinit(&p->out);
    tm_free(p);
    *ports = NULL;
}

const char *tm_mesh_ports_endpoint(const struct tm_mesh_ports *ports)
{
    return ports->endpoint;
}

/* ---- peers ---- */

struct tm_mesh_peer *tm_mesh_ports_find(struct tm_mesh_ports *ports, const struct tm_node_id *id)
{
    for (size_t i = 0; i < ports->peer_count; i++) {
        if (tm_node_id_eq(&ports->peers[i]->id, id)) {
            return ports->peers[i];
        }
    }
    return NULL;
}

static struct tm_mesh_peer *find_sender(struct tm_mesh_ports *p, const struct tm_frame *frame)
{
    for (size_t i = 0; i < p->peer_count; i++) {
        struct tm_mesh_peer *peer = p->peers[i];
        if (frame->has_key ? memcmp(peer->curve, frame->key, sizeof frame->key) == 0 && !peer->local
                           : peer->local) {
            return peer;
        }
    }
    return NULL;
}

/* Whether the transport key of a HELLO's sender belongs to the signing key that it names. */
static bool is_its_own(const struct tm_mesh_ports *p, const struct tm_frame *frame,
                       const struct tm_msg_hello *hello)
{
    uint8_t curve[TM_CURVE_KEY_BYTES];
    if (!frame->has_key) {
        return tm_public_key_eq(&hello->key, tm_identity_public(p->options.identity));
    }
    return tm_public_key_curve(&hello->key, curve) == TM_OK &&
           memcmp(curve, frame->key, sizeof curve) == 0;
}

static struct tm_mesh_peer *add_peer(struct tm_mesh_ports *p, const struct tm_frame *frame)
{
    struct tm_node_id id = tm_node_id_of(&p->msg.hello.key);
    if (p->peer_count == TM_MESH_NODES_MAX || tm_mesh_ports_find(p, &id) != NULL) {
        return NULL; /* full; or the owner's key from outside, beside its own worker */
    }
    if (p->peer_count == p->peer_capacity) {
        size_t capacity = p->peer_capacity == 0 ? 16 : p->peer_capacity * 2;
        struct tm_mesh_peer **grown = tm_realloc_array(p->peers, capacity, sizeof *grown);
        if (grown == NULL) {
            return NULL;
        }
        p->peers = grown;
        p->peer_capacity = capacity;
    }
    struct tm_mesh_peer *peer = tm_calloc(1, sizeof *peer);
    if (peer != NULL) {
        peer->local = !frame->has_key;
        memcpy(peer->curve, frame->key, sizeof peer->curve);
        p->peers[p->peer_count++] = peer;
    }
    return peer;
}

/* The peer that a frame with a message of the right socket comes from, or NULL. */
static struct tm_mesh_peer *know(struct tm_mesh_ports *p, const struct tm_frame *frame, int kind)
{
    struct tm_mesh_peer *peer = find_sender(p, frame);
    const struct tm_msg_hello *hello = &p->msg.hello;
    if (p->msg.type == TM_MSG_HELLO) {
        if (!is_its_own(p, frame, hello)) {
            return NULL;
        }
        peer = peer != NULL ? peer : add_peer(p, frame);
        if (peer == NULL) {
            return NULL;
        }
        peer->key = hello->key;
        peer->id = tm_node_id_of(&hello->key);
        peer->cores = hello->cores;
        memcpy(peer->name, hello->name, sizeof peer->name);
    }
    if (peer == NULL || peer->banned) {
        return NULL;
    }
    peer->route[kind] = frame->route;
    return peer;
}

struct tm_mesh_peer *tm_mesh_ports_peer(struct tm_mesh_ports *ports, size_t index)
{
    return index < ports->peer_count ? ports->peers[index] : NULL;
}

tm_status tm_mesh_ports_ban(struct tm_mesh_ports *ports, struct tm_mesh_peer *peer)
{
    peer->banned = true;
    return peer->local ? TM_OK : tm_zap_deny(ports->options.transport, peer->curve);
}

/* ---- messages ---- */

/* A node of an earlier run of this coordinator goes on talking: the epoch tells it to greet. */
static void answer_stranger(struct tm_mesh_ports *p, struct tm_socket *socket)
{
    p->msg.type = TM_MSG_HEARTBEAT;
    p->msg.heartbeat = (struct tm_msg_heartbeat){.epoch = p->options.epoch};
    tm_buf_clear(&p->out);
    if (tm_wire_pack(&p->msg, &p->out) == TM_OK) {
        (void)!tm_socket_send(socket, &p->frame.route, tm_buf_view(&p->out));
    }
}

static struct tm_mesh_peer *receive_one(struct tm_mesh_ports *p, int port, int kind)
{
    struct tm_socket *socket = p->socket[port][kind];
    while (socket != NULL && tm_socket_receive(socket, &p->frame) == TM_OK) {
        struct tm_mesh_peer *peer = NULL;
        bool good = tm_wire_unpack(p->frame.data, &p->msg, NULL) == TM_OK;
        bool greets = good && kind == BULK && p->msg.type == TM_MSG_HELLO;
        if (good && (tm_wire_is_bulk(p->msg.type) == (kind == BULK) || greets)) {
            peer = know(p, &p->frame, kind);
        }
        if (peer != NULL && !greets) {
            p->holds_frame = true;
            return peer;
        }
        if (good && kind == CONTROL && p->msg.type != TM_MSG_HELLO &&
            find_sender(p, &p->frame) == NULL) {
            answer_stranger(p, socket);
        }
        tm_frame_deinit(&p->frame);
        p->dropped += peer == NULL; /* a HELLO on bulk only shows the way back */
    }
    return NULL;
}

const struct tm_msg *tm_mesh_ports_receive(struct tm_mesh_ports *ports, uint64_t now_ms,
                                           struct tm_mesh_peer **peer)
{
    release_frame(ports);
    ports->turn++;
    for (unsigned i = 0; i < PORTS * KINDS; i++) {
        unsigned at = (ports->turn + i) % (PORTS * KINDS);
        *peer = receive_one(ports, (int)(at / KINDS), (int)(at % KINDS));
        if (*peer != NULL) {
            (*peer)->heard_ms = now_ms;
            return &ports->msg;
        }
    }
    return NULL;
}

tm_status tm_mesh_ports_send(struct tm_mesh_ports *ports, const struct tm_mesh_peer *peer,
                             const struct tm_msg *msg)
{
    int kind = tm_wire_is_bulk(msg->type) ? BULK : CONTROL;
    if (peer->route[kind].bytes == 0) {
        return TM_E_NOT_FOUND;
    }
    tm_buf_clear(&ports->out);
    TM_TRY(tm_wire_pack(msg, &ports->out));
    return tm_socket_send(ports->socket[peer->local ? LOCAL : REMOTE][kind], &peer->route[kind],
                          tm_buf_view(&ports->out));
}

size_t tm_mesh_ports_poll(struct tm_mesh_ports *ports, struct tm_poll_item items[4])
{
    size_t count = 0;
    for (int i = 0; i < PORTS * KINDS; i++) {
        struct tm_socket *socket = ports->socket[i / KINDS][i % KINDS];
        if (socket != NULL) {
            items[count++] = (struct tm_poll_item){.socket = socket};
        }
    }
    return count;
}

uint64_t tm_mesh_ports_dropped(const struct tm_mesh_ports *ports)
{
    uint64_t dropped = ports->dropped;
    for (int i = 0; i < PORTS * KINDS; i++) {
        struct tm_socket *socket = ports->socket[i / KINDS][i % KINDS];
        dropped += socket != NULL ? tm_socket_dropped(socket) : 0;
    }
    return dropped;
}
