/* SPDX-License-Identifier: Apache-2.0
 * The ZAP handler (ZeroMQ RFC 27): decides for every CURVE handshake of this transport which client
 * keys come in, and names the sender of each later message by its key (User-Id). One thread. A
 * denied key only stops new connections; the caller ignores those that exist. */
#ifndef TM_NODE_ZAP_H
#define TM_NODE_ZAP_H

#include "node/transport/transport.h"

#define TM_ZAP_DOMAIN "tensormill"

struct tm_zap_options {
    bool allow_any;                    /* every key that is not denied */
    const struct tm_public_key *allow; /* else these; copied */
    size_t allow_count;
};

/* Once per transport, before any server binds. */
tm_status tm_zap_start(struct tm_transport *transport, const struct tm_zap_options *options,
                       struct tm_err *err) TM_MUST_USE;
/* Denies a transport key from now on. Thread-safe. */
tm_status tm_zap_deny(struct tm_transport *transport,
                      const uint8_t key[TM_CURVE_KEY_BYTES]) TM_MUST_USE;
bool tm_zap_is_denied(struct tm_transport *transport, const uint8_t key[TM_CURVE_KEY_BYTES]);
/* Handshakes let in and turned away so far. */
struct tm_zap_counts {
    uint64_t accepted, denied;
};
struct tm_zap_counts tm_zap_counts(struct tm_transport *transport);

#endif
