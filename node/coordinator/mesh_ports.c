/* SPDX-License-Identifier: Apache-2.0 */
#include "node/coordinator/mesh_ports.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "node/transport/zap.h"
#include "proto/wire.h"
#include "scheduler/coordinator.h"

enum { CONTROL = TM_PORT_CONTROL, BULK = TM_PORT_BULK, KINDS = TM_PORT_KINDS };
enum { LOCAL, REMOTE, PORTS };

struct tm_mesh_ports {
    struct tm_mesh_ports_options options;
    struct tm_port port[PORTS]; /* sockets NULL: not open */
    struct tm_gate *gate;       /* instead of the remote one */
    char endpoint[TM_ENDPOINT_MAX];
    struct tm_mesh_peer **peers; /* stable addresses */
    size_t peer_count, peer_capacity;
    unsigned turn; /* which socket is asked first, so that none starves another */
    struct tm_frame frame;
    bool holds_frame;
    struct tm_msg msg;
    struct tm_msg reply; /* being built: large */
    struct tm_buf out;
    uint64_t dropped;
};

/* ---- opening ---- */

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

static tm_status open_remote(struct tm_mesh_ports *p, struct tm_err *err)
{
    TM_TRY(tm_endpoint_check_tcp(p->options.listen, err));
    if (p->options.gate != NULL) {
        struct tm_gate_options options = *p->options.gate;
        options.listen = p->options.listen;
        p->options.gate = NULL; /* borrowed for the start only */
        TM_TRY(tm_gate_new(&options, &p->gate, err));
        snprintf(p->endpoint, sizeof p->endpoint, "%s", tm_gate_endpoint(p->gate));
    } else {
        struct tm_port_options options = {.transport = p->options.transport,
                                          .identity = p->options.identity};
        TM_TRY(tm_port_open(&p->port[REMOTE], &options, p->options.listen, err));
        memcpy(p->endpoint, p->port[REMOTE].endpoint, sizeof p->endpoint);
    }
    make_connectable(p->endpoint);
    return p->options.ready_file != NULL ? write_ready(p, err) : TM_OK;
}

static tm_status open_all(struct tm_mesh_ports *p, struct tm_err *err)
{
    struct tm_port_options local = {.transport = p->options.transport};
    if (p->options.local) {
        TM_TRY(tm_port_open(&p->port[LOCAL], &local, TM_LOCAL_ENDPOINT, err));
    }
    return p->options.listen != NULL ? open_remote(p, err) : TM_OK;
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
    tm_port_close(&p->port[LOCAL]);
    tm_port_close(&p->port[REMOTE]);
    tm_gate_destroy(&p->gate);
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

static bool same_route(const struct tm_route *a, const struct tm_route *b)
{
    return a->bytes == b->bytes && memcmp(a->b, b->b, a->bytes) == 0;
}

static void set_route(struct tm_mesh_peer *peer, int kind, const struct tm_route *route)
{
    if (kind == BULK) {
        peer->bulk_sent = same_route(&peer->route[BULK], route) ? peer->bulk_sent : 0;
        peer->bulk_lost = false;
    }
    peer->route[kind] = *route;
}

static void lose_route(struct tm_mesh_peer *peer, int kind)
{
    peer->route[kind].bytes = 0;
    peer->bulk_lost = peer->bulk_lost || kind == BULK;
    peer->gone = true;
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
    set_route(peer, kind, &frame->route);
    return peer;
}

struct tm_mesh_peer *tm_mesh_ports_peer(struct tm_mesh_ports *ports, size_t index)
{
    return index < ports->peer_count ? ports->peers[index] : NULL;
}

tm_status tm_mesh_ports_ban(struct tm_mesh_ports *ports, struct tm_mesh_peer *peer)
{
    peer->banned = true;
    if (peer->local) {
        return TM_OK;
    }
    return ports->gate != NULL ? tm_gate_deny(ports->gate, peer->curve)
                               : tm_zap_deny(ports->options.transport, peer->curve);
}

/* ---- messages ---- */

static tm_status send_bytes(struct tm_mesh_ports *p, int port, int kind,
                            const struct tm_route *route)
{
    struct tm_view bytes = tm_buf_view(&p->out);
    return port == REMOTE && p->gate != NULL
               ? tm_gate_send(p->gate, kind, route, bytes)
               : tm_socket_send(p->port[port].socket[kind], route, bytes);
}

/* Makes the sender of the frame greet: a node of an earlier run of this coordinator goes on
 * talking, and one whose connections broke does not know it. It greets when it sees another epoch
 * than its own. */
static void ask_to_greet(struct tm_mesh_ports *p, int port, uint64_t epoch)
{
    p->reply.type = TM_MSG_HEARTBEAT;
    p->reply.heartbeat = (struct tm_msg_heartbeat){.epoch = epoch};
    tm_buf_clear(&p->out);
    if (tm_wire_pack(&p->reply, &p->out) == TM_OK) {
        (void)!send_bytes(p, port, CONTROL, &p->frame.route);
    }
}

/* The peer whose message p->frame holds, then in p->msg; NULL: nothing for the caller. */
static struct tm_mesh_peer *hear(struct tm_mesh_ports *p, int port, int kind)
{
    struct tm_mesh_peer *peer = NULL;
    bool good = tm_wire_unpack(p->frame.data, &p->msg, NULL) == TM_OK;
    bool hello = good && p->msg.type == TM_MSG_HELLO;
    bool greets = hello && kind == BULK;
    if (good && (tm_wire_is_bulk(p->msg.type) == (kind == BULK) || greets)) {
        peer = know(p, &p->frame, kind);
    }
    if (good && kind == CONTROL && !hello) {
        if (find_sender(p, &p->frame) == NULL) {
            ask_to_greet(p, port, p->options.epoch);
        } else if (peer != NULL && peer->bulk_lost) {
            ask_to_greet(p, port, 0);
        }
    }
    p->dropped += peer == NULL; /* a HELLO on bulk only shows the way back */
    return greets ? NULL : peer;
}

static struct tm_mesh_peer *receive_socket(struct tm_mesh_ports *p, int port, int kind)
{
    struct tm_socket *socket = p->port[port].socket[kind];
    while (socket != NULL && tm_socket_receive(socket, &p->frame) == TM_OK) {
        struct tm_mesh_peer *peer = hear(p, port, kind);
        if (peer != NULL) {
            p->holds_frame = true;
            return peer;
        }
        tm_frame_deinit(&p->frame);
    }
    return NULL;
}

/* ---- through the gate ---- */

static void lose_all(struct tm_mesh_ports *p)
{
    for (size_t i = 0; i < p->peer_count; i++) {
        struct tm_mesh_peer *peer = p->peers[i];
        for (int kind = 0; kind < KINDS && !peer->local && !peer->banned; kind++) {
            lose_route(peer, kind);
        }
    }
}

/* What became of a message on the route. */
static void follow(struct tm_mesh_ports *p, const struct tm_gate_event *event)
{
    for (size_t i = 0; i < p->peer_count; i++) {
        struct tm_mesh_peer *peer = p->peers[i];
        if (peer->local || peer->route[event->kind].bytes == 0 ||
            !same_route(&peer->route[event->kind], &event->frame.route)) {
            continue;
        }
        if (event->news == TM_GATE_LOST) {
            lose_route(peer, event->kind);
        } else if (peer->bulk_sent > 0) {
            peer->bulk_sent--;
        }
        return;
    }
}

static struct tm_mesh_peer *receive_gate(struct tm_mesh_ports *p)
{
    struct tm_gate_event event;
    while (p->gate != NULL && tm_gate_receive(p->gate, &event) != TM_GATE_NOTHING) {
        if (event.news == TM_GATE_ENDED) {
            lose_all(p);
        } else if (event.news != TM_GATE_FRAME) {
            follow(p, &event);
        } else {
            p->frame = event.frame;
            struct tm_mesh_peer *peer = hear(p, REMOTE, event.kind);
            if (peer != NULL) {
                p->holds_frame = true;
                return peer;
            }
            tm_frame_deinit(&p->frame);
        }
    }
    return NULL;
}

const struct tm_msg *tm_mesh_ports_receive(struct tm_mesh_ports *ports, uint64_t now_ms,
                                           struct tm_mesh_peer **peer)
{
    unsigned sources = PORTS * KINDS + 1;
    release_frame(ports);
    ports->turn++;
    for (unsigned i = 0; i < sources; i++) {
        unsigned at = (ports->turn + i) % sources;
        *peer = at == PORTS * KINDS ? receive_gate(ports)
                                    : receive_socket(ports, (int)(at / KINDS), (int)(at % KINDS));
        if (*peer != NULL) {
            (*peer)->heard_ms = now_ms;
            return &ports->msg;
        }
    }
    return NULL;
}

tm_status tm_mesh_ports_send(struct tm_mesh_ports *ports, struct tm_mesh_peer *peer,
                             const struct tm_msg *msg)
{
    int kind = tm_wire_is_bulk(msg->type) ? BULK : CONTROL;
    bool gate = ports->gate != NULL && !peer->local;
    if (peer->route[kind].bytes == 0) {
        return TM_E_NOT_FOUND;
    }
    if (gate && kind == BULK && peer->bulk_sent >= TM_GATE_WINDOW) {
        return TM_E_LIMIT;
    }
    tm_buf_clear(&ports->out);
    TM_TRY(tm_wire_pack(msg, &ports->out));
    tm_status status = send_bytes(ports, peer->local ? LOCAL : REMOTE, kind, &peer->route[kind]);
    peer->bulk_sent += gate && kind == BULK && status == TM_OK;
    peer->bulk_lost = peer->bulk_lost || (kind == BULK && status == TM_E_NOT_FOUND);
    return status;
}

size_t tm_mesh_ports_poll(struct tm_mesh_ports *ports, struct tm_poll_item items[4])
{
    size_t count = ports->gate != NULL ? tm_gate_poll(ports->gate, items) : 0;
    for (int i = 0; i < PORTS * KINDS; i++) {
        struct tm_socket *socket = ports->port[i / KINDS].socket[i % KINDS];
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
        struct tm_socket *socket = ports->port[i / KINDS].socket[i % KINDS];
        dropped += socket != NULL ? tm_socket_dropped(socket) : 0;
    }
    return dropped;
}
