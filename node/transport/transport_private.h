/* SPDX-License-Identifier: Apache-2.0
 * What the files of node/transport share; for them alone. */
#ifndef TM_NODE_TRANSPORT_PRIVATE_H
#define TM_NODE_TRANSPORT_PRIVATE_H

#include <czmq.h>
#include <stdatomic.h>

#include "node/transport/transport.h"

/* libzmq's queues synchronise with atomics that ThreadSanitizer cannot see: under it, pointers that
 * go through a pipe are announced, and received bytes are copied by code that it does not watch. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TM_TSAN 1
#endif
#endif

struct tm_zap;

struct tm_transport {
    void *zmq;          /* the process's context, CZMQ's own */
    unsigned serial;    /* keeps the inproc names of two transports apart */
    struct tm_zap *zap; /* NULL until started; owned by zap.c */
};

struct tm_socket {
    struct tm_transport *transport;
    zsock_t *zsock;
    void *zmq; /* zsock's socket, for what CZMQ cannot say */
    enum tm_socket_kind kind;
    bool curve;
    uint64_t dropped;
};

/* Ends the ZAP thread, if there is one. */
void tm_zap_stop(struct tm_transport *transport);
/* TM_OK when so many more files and one more thread can be had now. CZMQ asserts that it got a file
 * and waits for ever for a thread that could not start. */
tm_status tm_transport_room(unsigned files, const char *what, struct tm_err *err);
/* Says that no thread could be started. */
tm_status tm_transport_no_thread(const char *what, struct tm_err *err);
/* zmq_poll; SIGINT and SIGTERM, which are held back while the thread has a transport, end it. */
int tm_transport_poll(zmq_pollitem_t *items, int count, long timeout_ms);
/* err from errno of libzmq. */
tm_status tm_transport_fail(struct tm_err *err, const char *where, const char *what);

#endif
