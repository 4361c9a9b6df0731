/* SPDX-License-Identifier: Apache-2.0 */
#include "node/transport/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/mem.h"

#define HEAD_BYTES 56u
#define MESSAGE_MAX (HEAD_BYTES + TM_RELAY_DATA_MAX)
#define OUT_MAX (8u * 1024 * 1024)

struct tm_relay {
    int fd;
    uint8_t *in; /* MESSAGE_MAX bytes */
    size_t in_start, in_end;
    struct tm_buf out; /* not written yet, from out_start on */
    size_t out_start;
    bool refused; /* the last send found no room: the caller waits for some */
};

tm_status tm_relay_new(int fd, struct tm_relay **out, struct tm_err *err)
{
    static const char what[] = "open the link to the gate";
    struct tm_relay *r = tm_calloc(1, sizeof *r);
    uint8_t *in = tm_alloc(MESSAGE_MAX);
    bool memory = r != NULL && in != NULL;
    int flags = memory ? fcntl(fd, F_GETFL) : -1;
    *out = NULL;
    if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1) {
        tm_status status = memory ? tm_err_set_os(err, errno, NULL, what)
                                  : tm_err_set(err, TM_E_NOMEM, NULL, what, NULL, "out of memory");
        tm_free(r);
        tm_free(in);
        close(fd);
        return status;
    }
    r->fd = fd;
    r->in = in;
    tm_buf_init(&r->out, OUT_MAX);
    *out = r;
    return TM_OK;
}

void tm_relay_destroy(struct tm_relay **relay)
{
    struct tm_relay *r = *relay;
    if (r == NULL) {
        return;
    }
    close(r->fd);
    tm_free(r->in);
    tm_buf_deinit(&r->out);
    tm_free(r);
    *relay = NULL;
}

/* ---- writing ---- */

static void pack_head(const struct tm_relay_head *head, size_t data_bytes, uint8_t out[HEAD_BYTES])
{
    tm_set_u32(out, (uint32_t)data_bytes);
    out[4] = (uint8_t)head->type;
    out[5] = head->kind;
    out[6] = head->route.bytes;
    out[7] = 0;
    memcpy(out + 8, head->route.b, TM_ROUTE_BYTES_MAX);
    memcpy(out + 8 + TM_ROUTE_BYTES_MAX, head->key, TM_CURVE_KEY_BYTES);
}

/* Writes both without waiting; *written of all their bytes. */
static tm_status write_some(struct tm_relay *r, struct tm_view first, struct tm_view second,
                            size_t *written)
{
    struct iovec parts[2] = {{(void *)(uintptr_t)first.data, first.bytes},
                             {(void *)(uintptr_t)second.data, second.bytes}};
    struct msghdr msg = {.msg_iov = parts, .msg_iovlen = second.bytes > 0 ? 2 : 1};
    ssize_t n = sendmsg(r->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    *written = n > 0 ? (size_t)n : 0;
    return n >= 0 || errno == EAGAIN || errno == EINTR || errno == ENOBUFS ? TM_OK : TM_E_NETWORK;
}

tm_status tm_relay_flush(struct tm_relay *relay)
{
    size_t written = 1;
    while (tm_relay_waiting(relay) > 0 && written > 0) {
        struct tm_view rest =
            tm_view_of(relay->out.data + relay->out_start, tm_relay_waiting(relay));
        TM_TRY(write_some(relay, rest, tm_view_of(NULL, 0), &written));
        relay->out_start += written;
    }
    if (tm_relay_waiting(relay) == 0) {
        tm_buf_clear(&relay->out);
        relay->out_start = 0;
        relay->refused = false;
    }
    return TM_OK;
}

void tm_relay_finish(struct tm_relay *relay)
{
    (void)shutdown(relay->fd, SHUT_WR);
}

size_t tm_relay_waiting(const struct tm_relay *relay)
{
    return relay->out.bytes - relay->out_start;
}

/* Keeps what of the message (its head, then its data) is not written yet. */
static tm_status keep_rest(struct tm_relay *r, const uint8_t head[HEAD_BYTES], struct tm_view data,
                           size_t written)
{
    size_t of_data = written > HEAD_BYTES ? written - HEAD_BYTES : 0;
    if (r->out_start > 0) {
        memmove(r->out.data, r->out.data + r->out_start, tm_relay_waiting(r));
        r->out.bytes -= r->out_start;
        r->out_start = 0;
    }
    if (tm_buf_reserve(&r->out, HEAD_BYTES + data.bytes) != TM_OK) {
        /* Half a message would put the other end out of step: only a whole one can be refused. */
        return written == 0 ? TM_E_LIMIT : TM_E_NETWORK;
    }
    if (written < HEAD_BYTES) {
        TM_TRY(tm_buf_put(&r->out, head + written, HEAD_BYTES - written));
    }
    return data.bytes > of_data ? tm_buf_put(&r->out, data.data + of_data, data.bytes - of_data)
                                : TM_OK;
}

tm_status tm_relay_send(struct tm_relay *relay, const struct tm_relay_head *head,
                        struct tm_view data, size_t waiting_max)
{
    uint8_t packed[HEAD_BYTES];
    size_t total = HEAD_BYTES + data.bytes;
    size_t written = 0;
    TM_ASSERT(data.bytes <= TM_RELAY_DATA_MAX);
    pack_head(head, data.bytes, packed);
    TM_TRY(tm_relay_flush(relay));
    if (tm_relay_waiting(relay) > 0 && tm_relay_waiting(relay) + total > waiting_max) {
        relay->refused = true;
        return TM_E_LIMIT;
    }
    if (tm_relay_waiting(relay) == 0) {
        TM_TRY(write_some(relay, tm_view_of(packed, HEAD_BYTES), data, &written));
    }
    return written == total ? TM_OK : keep_rest(relay, packed, data, written);
}

/* ---- reading ---- */

static tm_status unpack_head(const uint8_t *in, struct tm_relay_head *head, size_t *data_bytes)
{
    *data_bytes = tm_get_u32(in);
    if (*data_bytes > TM_RELAY_DATA_MAX || in[4] >= TM_RELAY_TYPES || in[5] > 1 ||
        in[6] > TM_ROUTE_BYTES_MAX || in[7] != 0) {
        return TM_E_MALFORMED;
    }
    head->type = (enum tm_relay_type)in[4];
    head->kind = in[5];
    head->route.bytes = in[6];
    memcpy(head->route.b, in + 8, TM_ROUTE_BYTES_MAX);
    memcpy(head->key, in + 8 + TM_ROUTE_BYTES_MAX, TM_CURVE_KEY_BYTES);
    return TM_OK;
}

static tm_status read_more(struct tm_relay *r)
{
    if (r->in_start > 0) {
        memmove(r->in, r->in + r->in_start, r->in_end - r->in_start);
        r->in_end -= r->in_start;
        r->in_start = 0;
    }
    ssize_t n = recv(r->fd, r->in + r->in_end, MESSAGE_MAX - r->in_end, MSG_DONTWAIT);
    if (n > 0) {
        r->in_end += (size_t)n;
        return TM_OK;
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? TM_E_NOTHING : TM_E_NETWORK;
}

tm_status tm_relay_receive(struct tm_relay *relay, struct tm_relay_head *head, struct tm_view *data)
{
    for (;;) {
        const uint8_t *in = relay->in + relay->in_start;
        size_t have = relay->in_end - relay->in_start;
        size_t data_bytes = 0;
        if (have >= HEAD_BYTES) {
            TM_TRY(unpack_head(in, head, &data_bytes));
        }
        if (have >= HEAD_BYTES + data_bytes) {
            *data = tm_view_of(in + HEAD_BYTES, data_bytes);
            relay->in_start += HEAD_BYTES + data_bytes;
            return TM_OK;
        }
        TM_TRY(read_more(relay));
    }
}

struct tm_poll_item tm_relay_poll(const struct tm_relay *relay)
{
    return (struct tm_poll_item){.fd = relay->fd,
                                 .write = relay->refused || tm_relay_waiting(relay) > 0};
}
