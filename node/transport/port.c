/* SPDX-License-Identifier: Apache-2.0 */
#include "node/transport/port.h"

#include <string.h>

#include "proto/message.h"

#define CONTROL_QUEUE 1000
#define BULK_QUEUE 16 /* x 256 KiB a piece */
#define PORT_TRIES 32

static tm_status open_sockets(struct tm_port *port, const struct tm_port_options *options,
                              struct tm_err *err)
{
    for (int kind = 0; kind < TM_PORT_KINDS; kind++) {
        bool control = kind == TM_PORT_CONTROL;
        struct tm_socket_options socket = {
            .kind = TM_SOCKET_ROUTER,
            .identity = options->identity,
            .curve_secret = options->curve_secret,
            .message_bytes_max = control ? TM_CONTROL_BYTES_MAX : TM_BULK_BYTES_MAX,
            .queue_messages = control ? CONTROL_QUEUE : BULK_QUEUE,
        };
        TM_TRY(tm_socket_new(options->transport, &socket, &port->socket[kind], err));
    }
    return TM_OK;
}

static tm_status bind_pair(struct tm_port *port, const char *endpoint, struct tm_err *err)
{
    char bulk[TM_ENDPOINT_MAX];
    for (int tries = 1;; tries++) {
        TM_TRY(tm_socket_bind(port->socket[TM_PORT_CONTROL], endpoint, port->endpoint, err));
        tm_status status = tm_endpoint_next(port->endpoint, bulk, err);
        if (status == TM_OK) {
            char ignored[TM_ENDPOINT_MAX];
            status = tm_socket_bind(port->socket[TM_PORT_BULK], bulk, ignored, err);
        }
        size_t bytes = strlen(endpoint);
        bool any_port = bytes > 2 && strcmp(endpoint + bytes - 2, ":0") == 0;
        if (status == TM_OK || !any_port || tries == PORT_TRIES) {
            return status;
        }
        TM_TRY(tm_socket_unbind(port->socket[TM_PORT_CONTROL], port->endpoint, err));
    }
}

tm_status tm_port_open(struct tm_port *port, const struct tm_port_options *options,
                       const char *endpoint, struct tm_err *err)
{
    *port = (struct tm_port){.endpoint = ""};
    tm_status status = open_sockets(port, options, err);
    if (status == TM_OK) {
        status = bind_pair(port, endpoint, err);
    }
    if (status != TM_OK) {
        tm_port_close(port);
    }
    return status;
}

void tm_port_close(struct tm_port *port)
{
    tm_socket_destroy(&port->socket[TM_PORT_CONTROL]);
    tm_socket_destroy(&port->socket[TM_PORT_BULK]);
    port->endpoint[0] = '\0';
}
