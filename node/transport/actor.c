/* SPDX-License-Identifier: Apache-2.0 */
#include "node/transport/actor.h"

#include <czmq.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "base/mem.h"
#include "node/transport/transport_private.h"

#ifdef TM_TSAN
void __tsan_acquire(void *at);
void __tsan_release(void *at);
#define HANDS_OVER(item) __tsan_release(item)
#define TAKES_OVER(item) __tsan_acquire(item)
#else
#define HANDS_OVER(item) ((void)(item))
#define TAKES_OVER(item) ((void)(item))
#endif

#define ACTOR_FILES 4 /* of the two ends of its pipe */

struct tm_pipe {
    void *zmq;  /* the socket of this end */
    bool ended; /* the other end's last word has come */
};

struct tm_actor {
    pthread_t thread;
    zsock_t *ends[2]; /* ours; the thread's, which the thread destroys */
    struct tm_pipe here, there;
    tm_actor_fn *fn;
    void *context;
};

bool tm_pipe_send(struct tm_pipe *pipe, void *item)
{
    HANDS_OVER(item);
    int rc;
    do {
        rc = zmq_send(pipe->zmq, &item, sizeof item, ZMQ_DONTWAIT);
    } while (rc < 0 && zmq_errno() == EINTR);
    return rc >= 0;
}

void *tm_pipe_receive(struct tm_pipe *pipe)
{
    void *item = NULL;
    int rc;
    do {
        rc = zmq_recv(pipe->zmq, &item, sizeof item, ZMQ_DONTWAIT);
    } while (rc < 0 && zmq_errno() == EINTR);
    if (rc != (int)sizeof item) {
        return NULL;
    }
    if (item == NULL) {
        pipe->ended = true;
        return NULL;
    }
    TAKES_OVER(item);
    return item;
}

void *tm_pipe_wait(struct tm_pipe *pipe, int timeout_ms)
{
    void *item = tm_pipe_receive(pipe);
    while (item == NULL && !pipe->ended) {
        zmq_pollitem_t poll = {.socket = pipe->zmq, .events = ZMQ_POLLIN};
        int rc = tm_transport_poll(&poll, 1, timeout_ms);
        if (rc <= 0 && (timeout_ms >= 0 || zmq_errno() != EINTR)) {
            return NULL;
        }
        item = tm_pipe_receive(pipe);
    }
    return item;
}

/* ---- actors ---- */

/* Two sockets that are one another's peer, without a bound on what waits. */
static bool make_pipe(zsock_t *ends[2])
{
    static atomic_uint serial;
    char name[40];
    int unbounded = 0;
    bool good = true;
    snprintf(name, sizeof name, "inproc://actor-%u", atomic_fetch_add(&serial, 1));
    for (int i = 0; i < 2; i++) {
        ends[i] = zsock_new(ZMQ_PAIR);
        void *zmq = zsock_resolve(ends[i]);
        good = good && zmq_setsockopt(zmq, ZMQ_SNDHWM, &unbounded, sizeof unbounded) == 0 &&
               zmq_setsockopt(zmq, ZMQ_RCVHWM, &unbounded, sizeof unbounded) == 0 &&
               (i == 0 ? zmq_bind(zmq, name) : zmq_connect(zmq, name)) == 0;
    }
    return good;
}

static tm_status no_actor(struct tm_actor *actor, tm_status status)
{
    zsock_destroy(&actor->ends[1]);
    zsock_destroy(&actor->ends[0]);
    tm_free(actor);
    return status;
}

/* The thread's last word is a NULL pointer. */
static void *run_actor(void *context)
{
    struct tm_actor *actor = context;
    void *end = NULL;
    actor->fn(&actor->there, actor->context);
    while (zmq_send(actor->there.zmq, &end, sizeof end, 0) < 0 && zmq_errno() == EINTR) {
    }
    zsock_destroy(&actor->ends[1]);
    return NULL;
}

/* Signals are for the main thread: they end its poll, never a library call of another one. Not by
 * zactor_new, which waits for ever for a thread that could not be started. */
static bool start_thread(struct tm_actor *actor)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&actor->thread, NULL, run_actor, actor);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code == 0;
}

tm_status tm_actor_start(struct tm_transport *transport, tm_actor_fn *fn, void *context,
                         struct tm_actor **out, struct tm_err *err)
{
    static const char what[] = "start a thread";
    (void)transport;
    *out = NULL;
    TM_TRY(tm_transport_room(ACTOR_FILES, what, err));
    struct tm_actor *actor = tm_calloc(1, sizeof *actor);
    if (actor == NULL) {
        return tm_err_set(err, TM_E_NOMEM, NULL, what, NULL, "out of memory");
    }
    actor->fn = fn;
    actor->context = context;
    if (!make_pipe(actor->ends)) { /* zsys_create_pipe would try for ever */
        return no_actor(actor, tm_transport_fail(err, NULL, what));
    }
    actor->here.zmq = zsock_resolve(actor->ends[0]);
    actor->there.zmq = zsock_resolve(actor->ends[1]);
    if (!start_thread(actor)) {
        return no_actor(actor, tm_transport_no_thread(what, err));
    }
    *out = actor;
    return TM_OK;
}

struct tm_pipe *tm_actor_pipe(struct tm_actor *actor)
{
    return &actor->here;
}

void tm_actor_join(struct tm_actor **actor, void (*drop)(void *item))
{
    struct tm_actor *a = *actor;
    if (a == NULL) {
        return;
    }
    while (!a->here.ended) {
        void *item = tm_pipe_wait(&a->here, -1);
        if (item != NULL && drop != NULL) {
            drop(item);
        }
    }
    pthread_join(a->thread, NULL);
    zsock_destroy(&a->ends[0]);
    tm_free(a);
    *actor = NULL;
}

static zmq_pollitem_t poll_of(const struct tm_poll_item *item)
{
    if (item->socket != NULL || item->pipe != NULL) {
        void *zmq = item->socket != NULL ? item->socket->zmq : item->pipe->zmq;
        return (zmq_pollitem_t){.socket = zmq, .events = ZMQ_POLLIN};
    }
    short events = item->write ? ZMQ_POLLIN | ZMQ_POLLOUT : ZMQ_POLLIN;
    return (zmq_pollitem_t){.fd = item->fd, .events = events};
}

void tm_poll(struct tm_poll_item *items, size_t count, int timeout_ms)
{
    zmq_pollitem_t poll[TM_POLL_MAX];
    TM_ASSERT(count <= TM_POLL_MAX);
    for (size_t i = 0; i < count; i++) {
        poll[i] = poll_of(&items[i]);
        items[i].readable = false;
    }
    if (tm_transport_poll(poll, (int)count, timeout_ms) <= 0) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        items[i].readable = (poll[i].revents & ZMQ_POLLIN) != 0;
    }
}
