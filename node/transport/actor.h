/* SPDX-License-Identifier: Apache-2.0
 * Threads that talk by pipes, and the poll over pipes and sockets. A pipe carries pointers; with a
 * pointer goes the ownership of what it points to. Each end belongs to one thread. */
#ifndef TM_NODE_ACTOR_H
#define TM_NODE_ACTOR_H

#include "node/transport/transport.h"

struct tm_pipe;
/* false when the other end is gone: the item is still the caller's. Never blocks. */
bool tm_pipe_send(struct tm_pipe *pipe, void *item) TM_MUST_USE;
/* NULL when nothing waits. */
void *tm_pipe_receive(struct tm_pipe *pipe);
/* Waits up to timeout_ms (-1: for ever); NULL when nothing came. */
void *tm_pipe_wait(struct tm_pipe *pipe, int timeout_ms);

struct tm_actor;
/* Runs fn(pipe, context) in a thread of its own; pipe is the thread's end and closed after fn. */
typedef void tm_actor_fn(struct tm_pipe *pipe, void *context);
tm_status tm_actor_start(struct tm_transport *transport, tm_actor_fn *fn, void *context,
                         struct tm_actor **out, struct tm_err *err) TM_MUST_USE;
/* The starter's end. */
struct tm_pipe *tm_actor_pipe(struct tm_actor *actor);
/* Waits until fn has returned (the caller told it to); items still in the pipe are given to `drop`
 * first. */
void tm_actor_join(struct tm_actor **actor, void (*drop)(void *item));

#define TM_POLL_MAX 160
struct tm_poll_item {
    struct tm_socket *socket; /* one of the three */
    struct tm_pipe *pipe;
    int fd;        /* with neither of the others */
    bool write;    /* fd only: waits for room to write too */
    bool readable; /* set by tm_poll */
};
/* Waits until something can be read (or written), or timeout_ms. A signal ends the wait early. */
void tm_poll(struct tm_poll_item *items, size_t count, int timeout_ms);

#endif
