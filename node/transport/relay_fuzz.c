/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as what the other end of a link wrote: messages come out whole and within their limits,
 * or the link says that it is malformed or at its end. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/transport/relay.h"
#include "tests/support/short_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fds[2];
    struct tm_relay *relay = NULL;
    struct tm_relay_head head;
    struct tm_view view;
    size_t total = 0;
    tm_status status;
    if (size > 65536 || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) {
        return 0;
    }
    status = tm_relay_new(fds[0], &relay, NULL);
    TM_ASSERT(ok_or_ran_out(status));
    if (status != TM_OK) {
        close(fds[0]);
        close(fds[1]);
        return 0;
    }
    ssize_t sent = send(fds[1], data, size, MSG_DONTWAIT);
    close(fds[1]);
    while ((status = tm_relay_receive(relay, &head, &view)) == TM_OK) {
        TM_ASSERT(head.type < TM_RELAY_TYPES && head.kind <= 1);
        TM_ASSERT(head.route.bytes <= TM_ROUTE_BYTES_MAX);
        TM_ASSERT(view.bytes == 0 || memchr(view.data, view.data[0], view.bytes) != NULL);
        total += 56 + view.bytes;
        TM_ASSERT(sent >= 0 && total <= (size_t)sent);
    }
    TM_ASSERT(status == TM_E_NETWORK || status == TM_E_MALFORMED || ran_out(status));
    tm_relay_destroy(&relay);
    return 0;
}
