/* SPDX-License-Identifier: Apache-2.0
 * Looks at the raw bytes of a frame before protobuf-c does, which recurses without limit, drops
 * high bits of numbers, keeps unknown fields and merges repeated sub-messages. The scan follows the
 * generated descriptors, so that it cannot drift from mesh.proto. It allocates nothing. */
#ifndef TM_PROTO_PRESCAN_H
#define TM_PROTO_PRESCAN_H

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"

#define TM_PRESCAN_DEPTH_MAX 4
#define TM_PRESCAN_FIELDS_MAX 1024

struct tm_prescan {
    uint32_t body;        /* number of the one top-level field */
    struct tm_view inner; /* its bytes, borrowed from the frame */
};

/* TM_E_MALFORMED or TM_E_LIMIT with "message.field" in err->where and the byte offset in the reason
 * when the frame holds: nothing or more than one top-level field; an unknown field or wrong wire
 * type; a singular field twice; a number with a redundant last byte, or too large for its type;
 * text with invalid UTF-8 or control characters; more depth or fields than the limits; an
 * incomplete field. type is the descriptor of the frame message. */
tm_status tm_prescan(struct tm_view frame, const ProtobufCMessageDescriptor *type,
                     struct tm_prescan *out, struct tm_err *err) TM_MUST_USE;

/* Finds the length-delimited field `number` in a message that has passed: its payload in *payload
 * and everything else, in order, in rest. TM_E_LIMIT when rest does not fit; an absent field gives
 * an empty payload. For large payloads that need no copy. */
tm_status tm_prescan_lift(struct tm_view message, uint32_t number, struct tm_view *payload,
                          uint8_t *rest, size_t rest_capacity, size_t *rest_bytes) TM_MUST_USE;

#endif
