/* SPDX-License-Identifier: Apache-2.0
 * A port of the coordinator: two ROUTERs side by side, control and bulk, apart so that a heartbeat
 * never waits behind data. For node/coordinator/mesh_ports.h and the gate. */
#ifndef TM_NODE_PORT_H
#define TM_NODE_PORT_H

#include "node/transport/transport.h"

enum tm_port_kind { TM_PORT_CONTROL, TM_PORT_BULK, TM_PORT_KINDS };

struct tm_port_options {
    struct tm_transport *transport;
    const struct tm_identity *identity; /* tcp: one of the two; else neither */
    const uint8_t *curve_secret;
};

struct tm_port {
    struct tm_socket *socket[TM_PORT_KINDS];
    char endpoint[TM_ENDPOINT_MAX]; /* of control, as bound */
};

/* Binds control to the endpoint and bulk to the next port; with port 0 two neighbouring free ports
 * are found. On failure the port is closed. */
tm_status tm_port_open(struct tm_port *port, const struct tm_port_options *options,
                       const char *endpoint, struct tm_err *err) TM_MUST_USE;
void tm_port_close(struct tm_port *port);

#endif
