/* SPDX-License-Identifier: Apache-2.0
 * Plain struct <-> protobuf bytes. Before protobuf-c sees a frame it is scanned: size cap of its
 * socket, depth <= 4, at most 1,024 fields, no unknown field, no repeated singular sub-message;
 * then it is unpacked under a memory budget of 8 times the frame and 1 KiB. No message type is
 * recursive. */
#ifndef TM_PROTO_WIRE_H
#define TM_PROTO_WIRE_H

#include "proto/message.h"

/* Appends the frame. TM_E_LIMIT when it would exceed its socket's cap, TM_E_MALFORMED when a text
 * holds control characters or is no UTF-8. out is unchanged on failure. */
tm_status tm_wire_pack(const struct tm_msg *msg, struct tm_buf *out) TM_MUST_USE;
/* msg->data.piece borrows from frame. Every length, count and enum is checked: TM_E_MALFORMED with
 * the field's name. struct tm_msg is large (tens of KiB): keep it on the heap or one per actor. */
tm_status tm_wire_unpack(struct tm_view frame, struct tm_msg *out, struct tm_err *err) TM_MUST_USE;
/* Whether a message type travels on the bulk socket. */
bool tm_wire_is_bulk(enum tm_msg_type type);

#endif
