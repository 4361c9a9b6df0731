/* SPDX-License-Identifier: Apache-2.0 */
#include "node/transport/zap.h"

#include <czmq.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "crypto/digest.h"
#include "node/transport/transport_private.h"

#define ZAP_FILES 8
#define ZAP_ENDPOINT "inproc://zeromq.zap.01"
#define FRAMES_MAX 8 /* version, request, domain, address, identity, mechanism, key; one more */
#define FRAME_BYTES_MAX 256

struct key_set {
    uint8_t (*keys)[TM_CURVE_KEY_BYTES];
    size_t count, capacity;
};

struct tm_zap {
    zactor_t *actor; /* its thread */
    zsock_t *rep;    /* the thread's, once it runs */
    bool allow_any;
    struct key_set allow; /* fixed after start */
    pthread_mutex_t lock; /* of denied */
    struct key_set denied;
    _Atomic uint64_t accepted, refused;
};

static bool set_has(const struct key_set *set, const uint8_t *key)
{
    for (size_t i = 0; i < set->count; i++) {
        if (memcmp(set->keys[i], key, TM_CURVE_KEY_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

static tm_status set_add(struct key_set *set, const uint8_t *key)
{
    if (set_has(set, key)) {
        return TM_OK;
    }
    if (set->count == set->capacity) {
        size_t capacity = set->capacity == 0 ? 16 : set->capacity * 2;
        void *grown = tm_realloc_array(set->keys, capacity, TM_CURVE_KEY_BYTES);
        if (grown == NULL) {
            return TM_E_NOMEM;
        }
        set->keys = grown;
        set->capacity = capacity;
    }
    memcpy(set->keys[set->count++], key, TM_CURVE_KEY_BYTES);
    return TM_OK;
}

/* ---- the thread ---- */

struct request {
    size_t frames;
    struct {
        uint8_t data[FRAME_BYTES_MAX];
        size_t bytes;
    } frame[FRAMES_MAX];
};

enum { F_VERSION, F_REQUEST, F_DOMAIN, F_ADDRESS, F_IDENTITY, F_MECHANISM, F_KEY, F_COUNT };

/* One request; false when none came. Frames that are too many or too long make frames 0. */
static bool receive(void *socket, struct request *r)
{
    r->frames = 0;
    bool good = true;
    int more = 1;
    for (size_t i = 0; more != 0; i++) {
        zmq_msg_t msg;
        zmq_msg_init(&msg);
        if (zmq_msg_recv(&msg, socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&msg);
            return false;
        }
        size_t bytes = zmq_msg_size(&msg);
        good = good && i < FRAMES_MAX && bytes <= FRAME_BYTES_MAX;
        if (good) {
            memcpy(r->frame[i].data, zmq_msg_data(&msg), bytes);
            r->frame[i].bytes = bytes;
            r->frames = i + 1;
        }
        more = zmq_msg_more(&msg);
        zmq_msg_close(&msg);
    }
    if (!good) {
        r->frames = 0;
    }
    return true;
}

static bool frame_is(const struct request *r, size_t i, const char *text)
{
    return r->frame[i].bytes == strlen(text) && memcmp(r->frame[i].data, text, strlen(text)) == 0;
}

static bool allowed(struct tm_zap *zap, const struct request *r)
{
    if (r->frames != F_COUNT || !frame_is(r, F_VERSION, "1.0") ||
        !frame_is(r, F_DOMAIN, TM_ZAP_DOMAIN) || !frame_is(r, F_MECHANISM, "CURVE") ||
        r->frame[F_KEY].bytes != TM_CURVE_KEY_BYTES) {
        return false;
    }
    const uint8_t *key = r->frame[F_KEY].data;
    pthread_mutex_lock(&zap->lock);
    bool denied = set_has(&zap->denied, key);
    pthread_mutex_unlock(&zap->lock);
    return !denied && (zap->allow_any || set_has(&zap->allow, key));
}

static void answer(struct tm_zap *zap, const struct request *r)
{
    bool good = allowed(zap, r);
    char user[2 * TM_CURVE_KEY_BYTES + 1] = "";
    if (good) {
        tm_hex_encode(r->frame[F_KEY].data, TM_CURVE_KEY_BYTES, user);
    }
    atomic_fetch_add(good ? &zap->accepted : &zap->refused, 1);
    const char *code = good ? "200" : "400";
    const char *text = good ? "OK" : "this key is not let in";
    void *s = zsock_resolve(zap->rep);
    size_t id_bytes = r->frames > F_REQUEST ? r->frame[F_REQUEST].bytes : 0;
    zmq_send(s, "1.0", 3, ZMQ_SNDMORE);
    zmq_send(s, r->frame[F_REQUEST].data, id_bytes, ZMQ_SNDMORE);
    zmq_send(s, code, strlen(code), ZMQ_SNDMORE);
    zmq_send(s, text, strlen(text), ZMQ_SNDMORE);
    zmq_send(s, user, strlen(user), ZMQ_SNDMORE);
    zmq_send(s, "", 0, 0);
}

/* Answers until CZMQ's $TERM comes through the pipe. */
static void serve(zsock_t *pipe, void *context)
{
    struct tm_zap *zap = context;
    struct request request;
    zpoller_t *poller = zpoller_new(pipe, zap->rep, NULL);
    zsock_signal(pipe, poller != NULL ? 0 : 1);
    while (poller != NULL) {
        void *ready = zpoller_wait(poller, -1);
        if (ready == pipe || (ready == NULL && zpoller_terminated(poller))) {
            break; /* the only message of the pipe is $TERM */
        }
        if (ready == zap->rep && receive(zsock_resolve(zap->rep), &request)) {
            answer(zap, &request);
        }
    }
    zpoller_destroy(&poller);
}

/* ---- start and stop ---- */

static void zap_destroy(struct tm_zap *zap)
{
    zactor_destroy(&zap->actor);
    if (zap->rep != NULL) {
        zsock_unbind(zap->rep, ZAP_ENDPOINT); /* at once: another transport may bind it next */
        zsock_destroy(&zap->rep);
    }
    pthread_mutex_destroy(&zap->lock);
    tm_free(zap->allow.keys);
    tm_free(zap->denied.keys);
    tm_free(zap);
}

static tm_status fill_allow(struct tm_zap *zap, const struct tm_zap_options *options,
                            struct tm_err *err)
{
    for (size_t i = 0; i < options->allow_count; i++) {
        uint8_t key[TM_CURVE_KEY_BYTES];
        if (tm_public_key_curve(&options->allow[i], key) != TM_OK) {
            return tm_err_set(err, TM_E_USAGE, NULL, "read the allowed keys", NULL,
                              "key %zu of the list is not a point of the curve", i + 1);
        }
        if (set_add(&zap->allow, key) != TM_OK) {
            return tm_err_set(err, TM_E_NOMEM, NULL, "read the allowed keys", NULL,
                              "out of memory");
        }
    }
    return TM_OK;
}

tm_status tm_zap_start(struct tm_transport *transport, const struct tm_zap_options *options,
                       struct tm_err *err)
{
    static const char what[] = "start the ZAP handler";
    TM_ASSERT(transport->zap == NULL);
    TM_TRY(tm_transport_room(ZAP_FILES, what, err)); /* its socket and its thread */
    struct tm_zap *zap = tm_calloc(1, sizeof *zap);
    if (zap == NULL) {
        return tm_err_set(err, TM_E_NOMEM, NULL, what, NULL, "out of memory");
    }
    pthread_mutex_init(&zap->lock, NULL);
    zap->allow_any = options->allow_any;
    tm_status status;
    TM_TRY_GOTO(fill_allow(zap, options, err), fail);
    zap->rep = zsock_new(ZMQ_REP);
    if (zap->rep == NULL || zsock_bind(zap->rep, ZAP_ENDPOINT) < 0) {
        status = tm_transport_fail(err, ZAP_ENDPOINT, what);
        goto fail;
    }
    zsock_set_linger(zap->rep, 0);
    zap->actor = zactor_new(serve, zap);
    if (zap->actor == NULL) {
        status = tm_err_set(err, TM_E_LIMIT, NULL, what, NULL, "no further thread can be started");
        goto fail;
    }
    transport->zap = zap;
    return TM_OK;
fail:
    zap_destroy(zap);
    return status;
}

void tm_zap_stop(struct tm_transport *transport)
{
    struct tm_zap *zap = transport->zap;
    if (zap == NULL) {
        return;
    }
    zap_destroy(zap);
    transport->zap = NULL;
}

tm_status tm_zap_deny(struct tm_transport *transport, const uint8_t key[TM_CURVE_KEY_BYTES])
{
    struct tm_zap *zap = transport->zap;
    TM_ASSERT(zap != NULL);
    pthread_mutex_lock(&zap->lock);
    tm_status status = set_add(&zap->denied, key);
    pthread_mutex_unlock(&zap->lock);
    return status;
}

bool tm_zap_is_denied(struct tm_transport *transport, const uint8_t key[TM_CURVE_KEY_BYTES])
{
    struct tm_zap *zap = transport->zap;
    TM_ASSERT(zap != NULL);
    pthread_mutex_lock(&zap->lock);
    bool denied = set_has(&zap->denied, key);
    pthread_mutex_unlock(&zap->lock);
    return denied;
}

struct tm_zap_counts tm_zap_counts(struct tm_transport *transport)
{
    struct tm_zap *zap = transport->zap;
    if (zap == NULL) {
        return (struct tm_zap_counts){0};
    }
    return (struct tm_zap_counts){.accepted = atomic_load(&zap->accepted),
                                  .denied = atomic_load(&zap->refused)};
}
