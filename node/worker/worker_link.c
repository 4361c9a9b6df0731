/* SPDX-License-Identifier: Apache-2.0 */
#include "node/worker/worker_link.h"

#include "base/mem.h"
#include "proto/wire.h"

#define CONTROL_QUEUE 1000
#define BULK_QUEUE 16 /* x 256 KiB a piece */

struct tm_worker_link {
    struct tm_worker_link_options options;
    struct tm_socket *socket[2]; /* control, bulk */
    struct tm_buf out;
    struct tm_frame frame; /* of the message given last */
    bool holds_frame;
    struct tm_msg msg;
};

static tm_status open_socket(struct tm_worker_link *link, int which, const char *endpoint,
                             struct tm_err *err)
{
    struct tm_socket_options options = {
        .kind = TM_SOCKET_DEALER,
        .identity = link->options.identity,
        .server_key = link->options.server_key,
        .message_bytes_max = which == 0 ? TM_CONTROL_BYTES_MAX : TM_BULK_BYTES_MAX,
        .queue_messages = which == 0 ? CONTROL_QUEUE : BULK_QUEUE,
    };
    TM_TRY(tm_socket_new(link->options.transport, &options, &link->socket[which], err));
    return tm_socket_connect(link->socket[which], endpoint, err);
}

static void release_frame(struct tm_worker_link *link)
{
    if (link->holds_frame) {
        tm_frame_deinit(&link->frame);
        link->holds_frame = false;
    }
}

tm_status tm_worker_link_reconnect(struct tm_worker_link *link, struct tm_err *err)
{
    char bulk[TM_ENDPOINT_MAX];
    release_frame(link);
    /* A HELLO that an old socket still delivers would show the coordinator a dead way back. */
    tm_socket_drop(&link->socket[0]);
    tm_socket_drop(&link->socket[1]);
    TM_TRY(tm_endpoint_next(link->options.endpoint, bulk, err));
    TM_TRY(open_socket(link, 0, link->options.endpoint, err));
    return open_socket(link, 1, bulk, err);
}

tm_status tm_worker_link_new(const struct tm_worker_link_options *options,
                             struct tm_worker_link **out, struct tm_err *err)
{
    *out = NULL;
    struct tm_worker_link *link = tm_calloc(1, sizeof *link);
    if (link == NULL) {
        return tm_err_set(err, TM_E_NOMEM, NULL, "connect", NULL, "out of memory");
    }
    link->options = *options;
    tm_buf_init(&link->out, TM_BULK_BYTES_MAX);
    tm_status status = tm_worker_link_reconnect(link, err);
    if (status != TM_OK) {
        tm_worker_link_destroy(&link);
        return status;
    }
    *out = link;
    return TM_OK;
}

void tm_worker_link_destroy(struct tm_worker_link **link)
{
    struct tm_worker_link *l = *link;
    if (l == NULL) {
        return;
    }
    release_frame(l);
    tm_socket_destroy(&l->socket[0]);
    tm_socket_destroy(&l->socket[1]);
    tm_buf_deinit(&l->out);
    tm_free(l);
    *link = NULL;
}

tm_status tm_worker_link_send(struct tm_worker_link *link, const struct tm_msg *msg)
{
    tm_buf_clear(&link->out);
    TM_TRY(tm_wire_pack(msg, &link->out));
    struct tm_view frame = tm_buf_view(&link->out);
    if (msg->type == TM_MSG_HELLO) { /* each connection shows whose it is */
        TM_TRY(tm_socket_send(link->socket[1], NULL, frame));
    }
    return tm_socket_send(link->socket[tm_wire_is_bulk(msg->type) ? 1 : 0], NULL, frame);
}

const struct tm_msg *tm_worker_link_receive(struct tm_worker_link *link)
{
    release_frame(link);
    for (int which = 0; which < 2; which++) {
        while (tm_socket_receive(link->socket[which], &link->frame) == TM_OK) {
            if (tm_wire_unpack(link->frame.data, &link->msg, NULL) == TM_OK &&
                tm_wire_is_bulk(link->msg.type) == (which == 1)) {
                link->holds_frame = true;
                return &link->msg;
            }
            tm_frame_deinit(&link->frame);
        }
    }
    return NULL;
}

size_t tm_worker_link_poll(struct tm_worker_link *link, struct tm_poll_item *items)
{
    items[0] = (struct tm_poll_item){.socket = link->socket[0]};
    items[1] = (struct tm_poll_item){.socket = link->socket[1]};
    return 2;
}
