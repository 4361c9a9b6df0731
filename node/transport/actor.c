/* SPDX-License-Identifier: Apache-2.0 */
#include "node/transport/actor.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <zmq.h>

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

struct tm_pipe {
    void *zmq;
};

struct tm_actor {
    struct tm_pipe here, there;
    tm_actor_fn *fn;
    void *context;
    pthread_t thread;
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
    TAKES_OVER(item);
    return item;
}

void *tm_pipe_wait(struct tm_pipe *pipe, int timeout_ms)
{
    void *item = tm_pipe_receive(pipe);
    while (item == NULL) {
        zmq_pollitem_t poll = {.socket = pipe->zmq, .events = ZMQ_POLLIN};
        int rc = zmq_poll(&poll, 1, timeout_ms);
        if (rc <= 0 && (timeout_ms >= 0 || zmq_errno() != EINTR)) {
            return NULL;
        }
        item = tm_pipe_receive(pipe);
    }
    return item;
}

/* ---- actors ---- */

static void *run_actor(void *context)
{
    struct tm_actor *actor = context;
    actor->fn(&actor->there, actor->context);
    zmq_close(actor->there.zmq);
    actor->there.zmq = NULL;
    return NULL;
}

static void *pair_end(struct tm_transport *transport)
{
    void *socket = zmq_socket(transport->zmq, ZMQ_PAIR);
    int zero = 0;
    if (socket != NULL) {
        zmq_setsockopt(socket, ZMQ_SNDHWM, &zero, sizeof zero);
        zmq_setsockopt(socket, ZMQ_RCVHWM, &zero, sizeof zero);
        zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero);
    }
    return socket;
}

static bool make_pipe(struct tm_transport *transport, struct tm_actor *actor)
{
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "inproc://pipe-%u",
             atomic_fetch_add(&transport->pipe_serial, 1));
    actor->here.zmq = pair_end(transport);
    actor->there.zmq = pair_end(transport);
    return actor->here.zmq != NULL && actor->there.zmq != NULL &&
           zmq_bind(actor->here.zmq, endpoint) == 0 && zmq_connect(actor->there.zmq, endpoint) == 0;
}

/* Signals are for the main thread: they end its poll, never a library call of another one. */
static bool start_thread(struct tm_actor *actor)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&actor->thread, NULL, run_actor, actor) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

tm_status tm_actor_start(struct tm_transport *transport, tm_actor_fn *fn, void *context,
                         struct tm_actor **out, struct tm_err *err)
{
    static const char what[] = "start a thread";
    *out = NULL;
    struct tm_actor *actor = tm_calloc(1, sizeof *actor);
    if (actor == NULL) {
        return tm_err_set(err, TM_E_NOMEM, NULL, what, NULL, "out of memory");
    }
    actor->fn = fn;
    actor->context = context;
    tm_status status;
    if (!make_pipe(transport, actor)) {
        status = tm_transport_fail(err, NULL, what);
    } else if (!start_thread(actor)) {
        status = tm_err_set(err, TM_E_LIMIT, NULL, what, NULL, "no further thread can be started");
    } else {
        *out = actor;
        return TM_OK;
    }
    if (actor->here.zmq != NULL) {
        zmq_close(actor->here.zmq);
    }
    if (actor->there.zmq != NULL) {
        zmq_close(actor->there.zmq);
    }
    tm_free(actor);
    return status;
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
    pthread_join(a->thread, NULL);
    void *item;
    while ((item = tm_pipe_receive(&a->here)) != NULL) {
        if (drop != NULL) {
            drop(item);
        }
    }
    zmq_close(a->here.zmq);
    tm_free(a);
    *actor = NULL;
}

void tm_poll(struct tm_poll_item *items, size_t count, int timeout_ms)
{
    zmq_pollitem_t poll[TM_POLL_MAX];
    TM_ASSERT(count <= TM_POLL_MAX);
    for (size_t i = 0; i < count; i++) {
        void *zmq = items[i].socket != NULL ? items[i].socket->zmq : items[i].pipe->zmq;
        poll[i] = (zmq_pollitem_t){.socket = zmq, .events = ZMQ_POLLIN};
        items[i].readable = false;
    }
    if (zmq_poll(poll, (int)count, timeout_ms) <= 0) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        items[i].readable = (poll[i].revents & ZMQ_POLLIN) != 0;
    }
}
