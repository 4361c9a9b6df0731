/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/prescan.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/utf8.h"

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

/* One message on the way down; begin is its offset within the frame, for reasons. */
struct level {
    const ProtobufCMessageDescriptor *type;
    struct tm_cursor in;
    size_t begin;
    uint64_t seen; /* bit per index of the descriptor's fields */
};

struct scan {
    struct level levels[TM_PRESCAN_DEPTH_MAX];
    uint32_t depth; /* levels in use */
    uint32_t fields;
    struct tm_err *err;
};

/* A base-128 number of at most ten bytes; false when it is cut, too long or not minimal. */
static bool read_varint(struct tm_cursor *in, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t byte = tm_cursor_u8(in);
        if (in->overrun || (shift == 63 && byte > 1)) {
            return false;
        }
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = value;
            return byte != 0 || shift == 0;
        }
    }
    return false;
}

static tm_status refuse(const struct scan *scan, tm_status status, const char *field,
                        const char *why)
{
    const struct level *top = &scan->levels[scan->depth - 1];
    char where[160];
    snprintf(where, sizeof where, "%s.%s", top->type->short_name, field != NULL ? field : "?");
    return tm_err_set(scan->err, status, where, "cannot read the frame", NULL, "%s, at byte %zu",
                      why, top->begin + top->in.at);
}

static bool text_is_clean(struct tm_view text)
{
    for (size_t at = 0; at < text.bytes;) {
        uint32_t code = 0;
        size_t length = tm_utf8_decode((const char *)text.data + at, text.bytes - at, &code);
        if (length == 0 || tm_utf8_is_control(code)) {
            return false;
        }
        at += length;
    }
    return true;
}

/* Only the kinds of mesh.proto are known; another one is refused. */
static bool wire_type_of(ProtobufCType type, enum wire_type *out)
{
    switch (type) {
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_ENUM:
        *out = WIRE_VARINT;
        return true;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        *out = WIRE_BYTES;
        return true;
    default:
        return false;
    }
}

static tm_status scan_number(struct scan *scan, const ProtobufCFieldDescriptor *field)
{
    uint64_t value = 0;
    if (!read_varint(&scan->levels[scan->depth - 1].in, &value)) {
        return refuse(scan, TM_E_MALFORMED, field->name, "no valid number");
    }
    if (field->type != PROTOBUF_C_TYPE_UINT64 && value > UINT32_MAX) {
        return refuse(scan, TM_E_MALFORMED, field->name, "number above 32 bits");
    }
    return TM_OK;
}

static tm_status scan_bytes(struct scan *scan, const ProtobufCFieldDescriptor *field)
{
    struct level *top = &scan->levels[scan->depth - 1];
    uint64_t length = 0;
    if (!read_varint(&top->in, &length)) {
        return refuse(scan, TM_E_MALFORMED, field->name, "no valid length");
    }
    if (length > tm_cursor_left(&top->in)) {
        return refuse(scan, TM_E_MALFORMED, field->name, "length past the end");
    }
    size_t begin = top->begin + top->in.at;
    struct tm_view bytes = tm_cursor_take(&top->in, length);
    if (field->type == PROTOBUF_C_TYPE_STRING && !text_is_clean(bytes)) {
        return refuse(scan, TM_E_MALFORMED, field->name, "invalid UTF-8 or a control character");
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        if (scan->depth == TM_PRESCAN_DEPTH_MAX) {
            return refuse(scan, TM_E_LIMIT, field->name, "nested too deeply");
        }
        scan->levels[scan->depth++] =
            (struct level){.type = field->descriptor, .in = tm_cursor_of(bytes), .begin = begin};
    }
    return TM_OK;
}

static tm_status scan_field(struct scan *scan, const ProtobufCFieldDescriptor **out)
{
    struct level *top = &scan->levels[scan->depth - 1];
    if (++scan->fields > TM_PRESCAN_FIELDS_MAX) {
        return refuse(scan, TM_E_LIMIT, NULL, "more than 1024 fields");
    }
    uint64_t key = 0;
    if (!read_varint(&top->in, &key) || key > UINT32_MAX) {
        return refuse(scan, TM_E_MALFORMED, NULL, "no valid field key");
    }
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(top->type, (unsigned)(key >> 3));
    if (field == NULL) {
        return refuse(scan, TM_E_MALFORMED, NULL, "unknown field");
    }
    enum wire_type expected = WIRE_VARINT;
    if (!wire_type_of(field->type, &expected) || (key & 7) != (uint64_t)expected) {
        return refuse(scan, TM_E_MALFORMED, field->name, "wrong wire type");
    }
    uint64_t bit = (uint64_t)1 << (field - top->type->fields);
    if (field->label != PROTOBUF_C_LABEL_REPEATED && (top->seen & bit) != 0) {
        return refuse(scan, TM_E_MALFORMED, field->name, "occurs twice");
    }
    top->seen |= bit;
    *out = field;
    return expected == WIRE_VARINT ? scan_number(scan, field) : scan_bytes(scan, field);
}

tm_status tm_prescan(struct tm_view frame, const ProtobufCMessageDescriptor *type,
                     struct tm_prescan *out, struct tm_err *err)
{
    struct scan scan = {.depth = 1, .err = err};
    scan.levels[0] = (struct level){.type = type, .in = tm_cursor_of(frame)};
    *out = (struct tm_prescan){0};
    while (scan.depth > 0) {
        struct level *top = &scan.levels[scan.depth - 1];
        TM_ASSERT(top->type->n_fields <= 64);
        if (tm_cursor_left(&top->in) == 0) {
            scan.depth--;
            continue;
        }
        bool outermost = scan.depth == 1;
        if (outermost && out->body != 0) {
            return refuse(&scan, TM_E_MALFORMED, NULL, "more than one message");
        }
        const ProtobufCFieldDescriptor *field = NULL;
        TM_TRY(scan_field(&scan, &field));
        if (outermost) {
            TM_ASSERT(field != NULL && scan.depth == 2); /* a frame holds only messages */
            out->body = field->id;
            out->inner = tm_view_of(scan.levels[1].in.data, scan.levels[1].in.bytes);
        }
    }
    if (out->body == 0) {
        scan.depth = 1;
        return refuse(&scan, TM_E_MALFORMED, NULL, "no message");
    }
    return TM_OK;
}

tm_status tm_prescan_lift(struct tm_view message, uint32_t number, struct tm_view *payload,
                          uint8_t *rest, size_t rest_capacity, size_t *rest_bytes)
{
    struct tm_cursor in = tm_cursor_of(message);
    *payload = tm_view_of(NULL, 0);
    *rest_bytes = 0;
    while (tm_cursor_left(&in) > 0) {
        size_t begin = in.at;
        uint64_t key = 0, value = 0;
        bool ok = read_varint(&in, &key) && read_varint(&in, &value);
        struct tm_view bytes = tm_view_of(NULL, 0);
        if (ok && (key & 7) == WIRE_BYTES) {
            bytes = tm_cursor_take(&in, value);
            ok = !in.overrun;
        }
        if (!ok) {
            return TM_E_MALFORMED;
        }
        if (key >> 3 == number && (key & 7) == WIRE_BYTES) {
            *payload = bytes;
            continue;
        }
        if (in.at - begin > rest_capacity - *rest_bytes) {
            return TM_E_LIMIT;
        }
        memcpy(rest + *rest_bytes, message.data + begin, in.at - begin);
        *rest_bytes += in.at - begin;
    }
    return TM_OK;
}
