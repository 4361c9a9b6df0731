/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "mesh.pb-c.h"
#include "proto/prescan.h"

bool tm_wire_is_bulk(enum tm_msg_type type)
{
    return type == TM_MSG_FETCH || type == TM_MSG_DATA || type == TM_MSG_CREDIT;
}

static size_t bytes_max(enum tm_msg_type type)
{
    return tm_wire_is_bulk(type) ? TM_BULK_BYTES_MAX : TM_CONTROL_BYTES_MAX;
}

/* ---- plain struct -> protobuf ---------------------------------------------------------------- */

/* The protobuf structs of one frame; they borrow from the message. */
struct packing {
    union {
        Tensormill__Hello hello;
        Tensormill__Welcome welcome;
        Tensormill__Want want;
        Tensormill__Lease lease;
        Tensormill__Idle idle;
        Tensormill__Heartbeat heartbeat;
        Tensormill__Result result;
        Tensormill__Receipt receipt;
        Tensormill__Fetch fetch;
        Tensormill__Data data;
        Tensormill__Credit credit;
        Tensormill__Ban ban;
        Tensormill__Bye bye;
    };
    union {
        struct {
            Tensormill__Speed items[TM_MSG_SPEEDS_MAX];
            Tensormill__Speed *list[TM_MSG_SPEEDS_MAX];
        } speeds;
        struct {
            Tensormill__Unit items[TM_MSG_LEASE_UNITS_MAX];
            Tensormill__Unit *list[TM_MSG_LEASE_UNITS_MAX];
        } units;
        char *pipelines[TM_MSG_SPEEDS_MAX];
        ProtobufCBinaryData tokens[TM_MSG_TOKENS_MAX];
    };
};

/* protobuf-c wants pointers to non-const although packing only reads. */
static ProtobufCBinaryData bytes_of(const void *data, size_t bytes)
{
    return (ProtobufCBinaryData){.len = bytes, .data = (uint8_t *)(uintptr_t)data};
}

static ProtobufCBinaryData digest_of(const struct tm_digest *digest)
{
    return bytes_of(digest->b, sizeof digest->b);
}

static char *text_of(const char *text)
{
    return (char *)(uintptr_t)text;
}

static void pack_hello(const struct tm_msg_hello *msg, struct packing *p)
{
    TM_ASSERT(msg->speed_count <= TM_MSG_SPEEDS_MAX);
    p->hello = (Tensormill__Hello)TENSORMILL__HELLO__INIT;
    p->hello.protocol = msg->protocol;
    p->hello.software = text_of(msg->software);
    p->hello.key = bytes_of(msg->key.b, sizeof msg->key.b);
    p->hello.name = text_of(msg->name);
    p->hello.cores = msg->cores;
    p->hello.ram_bytes = msg->ram_bytes;
    p->hello.encoders = digest_of(&msg->encoders);
    for (uint32_t i = 0; i < msg->speed_count; i++) {
        p->speeds.items[i] = (Tensormill__Speed)TENSORMILL__SPEED__INIT;
        p->speeds.items[i].pipeline = text_of(msg->speeds[i].pipeline);
        p->speeds.items[i].weights_per_s = msg->speeds[i].weights_per_s;
        p->speeds.list[i] = &p->speeds.items[i];
    }
    p->hello.n_speeds = msg->speed_count;
    p->hello.speeds = p->speeds.list;
}

static void pack_welcome(const struct tm_msg_welcome *msg, struct packing *p)
{
    TM_ASSERT(msg->pipeline_count <= TM_MSG_SPEEDS_MAX);
    p->welcome = (Tensormill__Welcome)TENSORMILL__WELCOME__INIT;
    p->welcome.epoch = msg->epoch;
    p->welcome.heartbeat_ms = msg->heartbeat_ms;
    p->welcome.plan = digest_of(&msg->plan);
    for (uint32_t i = 0; i < msg->pipeline_count; i++) {
        p->pipelines[i] = text_of(msg->pipelines[i]);
    }
    p->welcome.n_pipelines = msg->pipeline_count;
    p->welcome.pipelines = p->pipelines;
}

static void pack_lease(const struct tm_msg_lease *msg, struct packing *p)
{
    TM_ASSERT(msg->unit_count <= TM_MSG_LEASE_UNITS_MAX);
    p->lease = (Tensormill__Lease)TENSORMILL__LEASE__INIT;
    p->lease.token = bytes_of(msg->token.b, sizeof msg->token.b);
    p->lease.epoch = msg->epoch;
    p->lease.deadline_ms = msg->deadline_ms;
    for (uint32_t i = 0; i < msg->unit_count; i++) {
        const struct tm_msg_unit *unit = &msg->units[i];
        Tensormill__Unit *out = &p->units.items[i];
        *out = (Tensormill__Unit)TENSORMILL__UNIT__INIT;
        out->unit = unit->unit;
        out->source = digest_of(&unit->source);
        out->source_bytes = unit->source_bytes;
        out->dtype = unit->dtype;
        out->rows = unit->rows;
        out->cols = unit->cols;
        out->pipeline = unit->pipeline;
        p->units.list[i] = out;
    }
    p->lease.n_units = msg->unit_count;
    p->lease.units = p->units.list;
}

static void pack_heartbeat(const struct tm_msg_heartbeat *msg, struct packing *p)
{
    TM_ASSERT(msg->token_count <= TM_MSG_TOKENS_MAX);
    p->heartbeat = (Tensormill__Heartbeat)TENSORMILL__HEARTBEAT__INIT;
    p->heartbeat.epoch = msg->epoch;
    for (uint32_t i = 0; i < msg->token_count; i++) {
        p->tokens[i] = bytes_of(msg->tokens[i].b, sizeof msg->tokens[i].b);
    }
    p->heartbeat.n_tokens = msg->token_count;
    p->heartbeat.tokens = p->tokens;
}

static void pack_result(const struct tm_msg_result *msg, struct packing *p)
{
    p->result = (Tensormill__Result)TENSORMILL__RESULT__INIT;
    p->result.token = bytes_of(msg->token.b, sizeof msg->token.b);
    p->result.epoch = msg->epoch;
    p->result.unit = msg->unit;
    p->result.leaf = digest_of(&msg->leaf);
    p->result.bytes = msg->bytes;
    p->result.compute_ms = msg->compute_ms;
    p->result.sig = bytes_of(msg->sig.b, sizeof msg->sig.b);
}

static void pack_receipt(const struct tm_msg_receipt *msg, struct packing *p)
{
    p->receipt = (Tensormill__Receipt)TENSORMILL__RECEIPT__INIT;
    p->receipt.unit = msg->unit;
    p->receipt.leaf = digest_of(&msg->leaf);
    p->receipt.verdict = (Tensormill__Verdict)msg->verdict;
    p->receipt.reason = text_of(msg->reason);
}

static void pack_data(const struct tm_msg_data *msg, struct packing *p)
{
    p->data = (Tensormill__Data)TENSORMILL__DATA__INIT;
    p->data.id = digest_of(&msg->id);
    p->data.offset = msg->offset;
    p->data.total = msg->total;
    p->data.piece = bytes_of(msg->piece.data, msg->piece.bytes);
}

/* The small ones. */
static void pack_simple(const struct tm_msg *msg, struct packing *p)
{
    switch (msg->type) {
    case TM_MSG_WANT:
        p->want = (Tensormill__Want)TENSORMILL__WANT__INIT;
        p->want.slots = msg->want.slots;
        break;
    case TM_MSG_IDLE:
        p->idle = (Tensormill__Idle)TENSORMILL__IDLE__INIT;
        p->idle.retry_ms = msg->idle.retry_ms;
        break;
    case TM_MSG_FETCH:
        p->fetch = (Tensormill__Fetch)TENSORMILL__FETCH__INIT;
        p->fetch.id = digest_of(&msg->fetch.id);
        p->fetch.credit_bytes = msg->fetch.credit_bytes;
        break;
    case TM_MSG_CREDIT:
        p->credit = (Tensormill__Credit)TENSORMILL__CREDIT__INIT;
        p->credit.id = digest_of(&msg->credit.id);
        p->credit.credit_bytes = msg->credit.credit_bytes;
        break;
    case TM_MSG_BAN:
        p->ban = (Tensormill__Ban)TENSORMILL__BAN__INIT;
        p->ban.reason = text_of(msg->ban.reason);
        break;
    default:
        TM_ASSERT(msg->type == TM_MSG_BYE);
        p->bye = (Tensormill__Bye)TENSORMILL__BYE__INIT;
        p->bye.reason = text_of(msg->ban.reason);
        break;
    }
}

static void pack_body(const struct tm_msg *msg, struct packing *p)
{
    switch (msg->type) {
    case TM_MSG_HELLO:
        pack_hello(&msg->hello, p);
        break;
    case TM_MSG_WELCOME:
        pack_welcome(&msg->welcome, p);
        break;
    case TM_MSG_LEASE:
        pack_lease(&msg->lease, p);
        break;
    case TM_MSG_HEARTBEAT:
        pack_heartbeat(&msg->heartbeat, p);
        break;
    case TM_MSG_RESULT:
        pack_result(&msg->result, p);
        break;
    case TM_MSG_RECEIPT:
        pack_receipt(&msg->receipt, p);
        break;
    case TM_MSG_DATA:
        pack_data(&msg->data, p);
        break;
    default:
        pack_simple(msg, p);
        break;
    }
}

tm_status tm_wire_pack(const struct tm_msg *msg, struct tm_buf *out)
{
    struct packing packing;
    pack_body(msg, &packing);
    Tensormill__Frame frame = TENSORMILL__FRAME__INIT;
    frame.body_case = (Tensormill__Frame__BodyCase)msg->type;
    frame.hello = &packing.hello; /* every member of both unions is a pointer to the same place */
    size_t bytes = tensormill__frame__get_packed_size(&frame);
    if (bytes > bytes_max(msg->type)) {
        return TM_E_LIMIT;
    }
    size_t before = out->bytes;
    uint8_t *at = NULL;
    TM_TRY(tm_buf_extend(out, bytes, &at));
    size_t packed = tensormill__frame__pack(&frame, at);
    TM_ASSERT(packed == bytes);
    /* What our own reader would refuse never leaves: a name with control characters, for instance.
     */
    struct tm_prescan scan;
    tm_status status =
        tm_prescan(tm_view_of(at, bytes), &tensormill__frame__descriptor, &scan, NULL);
    if (status != TM_OK) {
        out->bytes = before;
    }
    return status;
}

/* ---- protobuf -> plain struct ---------------------------------------------------------------- */

/* The memory that one frame may cost: protobuf-c turns 2 bytes of an empty text into a pointer and
 * an allocation, so the frame's size alone is no bound. */
#define BUDGET_FACTOR 8
#define BUDGET_FIXED 1024 /* the structs of the smallest messages */

struct budget {
    size_t left;
};

static void *budget_alloc(void *context, size_t bytes)
{
    struct budget *budget = context;
    if (bytes > budget->left) {
        return NULL;
    }
    void *block = tm_alloc(bytes);
    if (block != NULL) {
        budget->left -= bytes;
    }
    return block;
}

static void budget_free(void *context, void *block)
{
    (void)context;
    tm_free(block);
}

struct reader {
    const char *message;
    struct tm_err *err;
};

static tm_status bad(const struct reader *r, const char *field, const char *why, uint64_t is,
                     uint64_t low, uint64_t high)
{
    char where[96];
    snprintf(where, sizeof where, "%s.%s", r->message, field);
    return tm_err_set(r->err, TM_E_MALFORMED, where, "cannot read the message", NULL,
                      "%s is %llu, must be %llu to %llu", why, (unsigned long long)is,
                      (unsigned long long)low, (unsigned long long)high);
}

static tm_status check_range(const struct reader *r, const char *field, uint64_t value,
                             uint64_t low, uint64_t high)
{
    return value >= low && value <= high ? TM_OK : bad(r, field, "value", value, low, high);
}

static tm_status get_bytes(const struct reader *r, const char *field,
                           const ProtobufCBinaryData *data, uint8_t *out, size_t bytes)
{
    if (data->len != bytes) {
        return bad(r, field, "size", data->len, bytes, bytes);
    }
    memcpy(out, data->data, bytes);
    return TM_OK;
}

static tm_status get_digest(const struct reader *r, const char *field,
                            const ProtobufCBinaryData *data, struct tm_digest *out)
{
    return get_bytes(r, field, data, out->b, sizeof out->b);
}

/* The scan has seen to UTF-8 and control characters, NUL among them. */
static tm_status get_text(const struct reader *r, const char *field, const char *text, size_t min,
                          char *out, size_t capacity)
{
    size_t bytes = strlen(text);
    if (bytes < min || bytes >= capacity) {
        return bad(r, field, "size", bytes, min, capacity - 1);
    }
    memcpy(out, text, bytes + 1);
    return TM_OK;
}

static tm_status get_hello(const struct reader *r, const Tensormill__Hello *in,
                           struct tm_msg_hello *out)
{
    out->protocol = in->protocol;
    TM_TRY(get_text(r, "software", in->software, 1, out->software, sizeof out->software));
    TM_TRY(get_bytes(r, "key", &in->key, out->key.b, sizeof out->key.b));
    TM_TRY(get_text(r, "name", in->name, 0, out->name, sizeof out->name));
    TM_TRY(check_range(r, "cores", in->cores, 1, TM_MSG_CORES_MAX));
    out->cores = in->cores;
    out->ram_bytes = in->ram_bytes;
    TM_TRY(get_digest(r, "encoders", &in->encoders, &out->encoders));
    TM_TRY(check_range(r, "speeds (count)", in->n_speeds, 0, TM_MSG_SPEEDS_MAX));
    out->speed_count = (uint32_t)in->n_speeds;
    for (uint32_t i = 0; i < out->speed_count; i++) {
        struct tm_msg_speed *speed = &out->speeds[i];
        TM_TRY(get_text(r, "speeds.pipeline", in->speeds[i]->pipeline, 1, speed->pipeline,
                        sizeof speed->pipeline));
        speed->weights_per_s = in->speeds[i]->weights_per_s;
    }
    return TM_OK;
}

static tm_status get_welcome(const struct reader *r, const Tensormill__Welcome *in,
                             struct tm_msg_welcome *out)
{
    TM_TRY(check_range(r, "epoch", in->epoch, 1, UINT64_MAX));
    out->epoch = in->epoch;
    TM_TRY(check_range(r, "heartbeat_ms", in->heartbeat_ms, 1, TM_MSG_HEARTBEAT_MS_MAX));
    out->heartbeat_ms = in->heartbeat_ms;
    TM_TRY(get_digest(r, "plan", &in->plan, &out->plan));
    TM_TRY(check_range(r, "pipelines (count)", in->n_pipelines, 0, TM_MSG_SPEEDS_MAX));
    out->pipeline_count = (uint32_t)in->n_pipelines;
    for (uint32_t i = 0; i < out->pipeline_count; i++) {
        TM_TRY(get_text(r, "pipelines", in->pipelines[i], 1, out->pipelines[i],
                        sizeof out->pipelines[i]));
    }
    return TM_OK;
}

static tm_status get_unit(const struct reader *r, const Tensormill__Unit *in,
                          struct tm_msg_unit *out)
{
    out->unit = in->unit;
    TM_TRY(get_digest(r, "units.source", &in->source, &out->source));
    TM_TRY(check_range(r, "units.source_bytes", in->source_bytes, 1, UINT32_MAX));
    TM_TRY(check_range(r, "units.dtype", in->dtype, 0, 255));
    TM_TRY(check_range(r, "units.rows", in->rows, 1, UINT32_MAX));
    TM_TRY(check_range(r, "units.cols", in->cols, 1, UINT32_MAX));
    TM_TRY(check_range(r, "units.pipeline", in->pipeline, 0, TM_MSG_SPEEDS_MAX - 1));
    out->source_bytes = in->source_bytes;
    out->dtype = in->dtype;
    out->rows = in->rows;
    out->cols = in->cols;
    out->pipeline = in->pipeline;
    return TM_OK;
}

static tm_status get_lease(const struct reader *r, const Tensormill__Lease *in,
                           struct tm_msg_lease *out)
{
    TM_TRY(get_bytes(r, "token", &in->token, out->token.b, sizeof out->token.b));
    out->epoch = in->epoch;
    TM_TRY(check_range(r, "deadline_ms", in->deadline_ms, 1, UINT32_MAX));
    out->deadline_ms = in->deadline_ms;
    TM_TRY(check_range(r, "units (count)", in->n_units, 1, TM_MSG_LEASE_UNITS_MAX));
    out->unit_count = (uint32_t)in->n_units;
    for (uint32_t i = 0; i < out->unit_count; i++) {
        TM_TRY(get_unit(r, in->units[i], &out->units[i]));
    }
    return TM_OK;
}

static tm_status get_heartbeat(const struct reader *r, const Tensormill__Heartbeat *in,
                               struct tm_msg_heartbeat *out)
{
    out->epoch = in->epoch;
    TM_TRY(check_range(r, "tokens (count)", in->n_tokens, 0, TM_MSG_TOKENS_MAX));
    out->token_count = (uint32_t)in->n_tokens;
    for (uint32_t i = 0; i < out->token_count; i++) {
        TM_TRY(get_bytes(r, "tokens", &in->tokens[i], out->tokens[i].b, sizeof out->tokens[i].b));
    }
    return TM_OK;
}

static tm_status get_result(const struct reader *r, const Tensormill__Result *in,
                            struct tm_msg_result *out)
{
    TM_TRY(get_bytes(r, "token", &in->token, out->token.b, sizeof out->token.b));
    out->epoch = in->epoch;
    out->unit = in->unit;
    TM_TRY(get_digest(r, "leaf", &in->leaf, &out->leaf));
    TM_TRY(check_range(r, "bytes", in->bytes, 1, UINT32_MAX));
    out->bytes = in->bytes;
    out->compute_ms = in->compute_ms;
    return get_bytes(r, "sig", &in->sig, out->sig.b, sizeof out->sig.b);
}

static tm_status get_receipt(const struct reader *r, const Tensormill__Receipt *in,
                             struct tm_msg_receipt *out)
{
    out->unit = in->unit;
    TM_TRY(get_digest(r, "leaf", &in->leaf, &out->leaf));
    TM_TRY(
        check_range(r, "verdict", (uint32_t)in->verdict, TM_RECEIPT_ACCEPTED, TM_RECEIPT_REJECTED));
    out->verdict = (enum tm_receipt)in->verdict;
    return get_text(r, "reason", in->reason, 0, out->reason, sizeof out->reason);
}

static tm_status get_credit(const struct reader *r, const Tensormill__Credit *in,
                            struct tm_msg_credit *out)
{
    TM_TRY(get_digest(r, "id", &in->id, &out->id));
    TM_TRY(check_range(r, "credit_bytes", in->credit_bytes, 1, UINT32_MAX));
    out->credit_bytes = in->credit_bytes;
    return TM_OK;
}

static tm_status get_fetch(const struct reader *r, const Tensormill__Fetch *in,
                           struct tm_msg_fetch *out)
{
    TM_TRY(get_digest(r, "id", &in->id, &out->id));
    TM_TRY(check_range(r, "credit_bytes", in->credit_bytes, 1, UINT32_MAX));
    out->credit_bytes = in->credit_bytes;
    return TM_OK;
}

static tm_status get_body(const struct reader *r, const Tensormill__Frame *frame,
                          struct tm_msg *out)
{
    switch (frame->body_case) {
    case TENSORMILL__FRAME__BODY_HELLO:
        return get_hello(r, frame->hello, &out->hello);
    case TENSORMILL__FRAME__BODY_WELCOME:
        return get_welcome(r, frame->welcome, &out->welcome);
    case TENSORMILL__FRAME__BODY_WANT:
        out->want.slots = frame->want->slots;
        return check_range(r, "slots", frame->want->slots, 1, TM_MSG_LEASE_UNITS_MAX);
    case TENSORMILL__FRAME__BODY_LEASE:
        return get_lease(r, frame->lease, &out->lease);
    case TENSORMILL__FRAME__BODY_IDLE:
        out->idle.retry_ms = frame->idle->retry_ms;
        return TM_OK;
    case TENSORMILL__FRAME__BODY_HEARTBEAT:
        return get_heartbeat(r, frame->heartbeat, &out->heartbeat);
    case TENSORMILL__FRAME__BODY_RESULT:
        return get_result(r, frame->result, &out->result);
    case TENSORMILL__FRAME__BODY_RECEIPT:
        return get_receipt(r, frame->receipt, &out->receipt);
    case TENSORMILL__FRAME__BODY_FETCH:
        return get_fetch(r, frame->fetch, &out->fetch);
    case TENSORMILL__FRAME__BODY_CREDIT:
        return get_credit(r, frame->credit, &out->credit);
    case TENSORMILL__FRAME__BODY_BAN:
        return get_text(r, "reason", frame->ban->reason, 0, out->ban.reason,
                        sizeof out->ban.reason);
    default:
        TM_ASSERT(frame->body_case == TENSORMILL__FRAME__BODY_BYE);
        return get_text(r, "reason", frame->bye->reason, 0, out->ban.reason,
                        sizeof out->ban.reason);
    }
}

static tm_status no_room(const struct reader *r, size_t frame_bytes)
{
    return tm_err_set(r->err, TM_E_NOMEM, r->message, "cannot read the message", NULL,
                      "no memory, or a frame of %zu bytes needs more than %d times its size",
                      frame_bytes, BUDGET_FACTOR);
}

/* The piece is not copied: everything else of the message is, to a small buffer, and unpacked. */
static tm_status unpack_data(const struct reader *r, struct tm_view inner,
                             ProtobufCAllocator *allocator, struct tm_msg_data *out)
{
    enum { PIECE_FIELD = 4, REST_MAX = 128 };
    uint8_t rest[REST_MAX];
    size_t rest_bytes = 0;
    TM_TRY(tm_prescan_lift(inner, PIECE_FIELD, &out->piece, rest, sizeof rest, &rest_bytes));
    Tensormill__Data *data = tensormill__data__unpack(allocator, rest_bytes, rest);
    if (data == NULL) {
        return no_room(r, inner.bytes);
    }
    out->offset = data->offset;
    out->total = data->total;
    tm_status status = get_digest(r, "id", &data->id, &out->id);
    tensormill__data__free_unpacked(data, allocator);
    TM_TRY(status);
    TM_TRY(check_range(r, "piece (size)", out->piece.bytes, 1, TM_DATA_PIECE_MAX));
    TM_TRY(check_range(r, "total", out->total, out->piece.bytes, UINT32_MAX));
    return check_range(r, "offset", out->offset, 0, out->total - out->piece.bytes);
}

tm_status tm_wire_unpack(struct tm_view frame, struct tm_msg *out, struct tm_err *err)
{
    memset(out, 0, sizeof *out);
    struct reader r = {.message = "frame", .err = err};
    TM_TRY(check_range(&r, "(size)", frame.bytes, 1, TM_BULK_BYTES_MAX));
    struct tm_prescan scan;
    TM_TRY(tm_prescan(frame, &tensormill__frame__descriptor, &scan, err));
    out->type = (enum tm_msg_type)scan.body;
    r.message = tm_msg_type_name(out->type);
    TM_TRY(check_range(&r, "(size)", frame.bytes, 1, bytes_max(out->type)));
    struct budget budget = {.left = BUDGET_FIXED + BUDGET_FACTOR * frame.bytes};
    ProtobufCAllocator allocator = {
        .alloc = budget_alloc, .free = budget_free, .allocator_data = &budget};
    if (out->type == TM_MSG_DATA) {
        return unpack_data(&r, scan.inner, &allocator, &out->data);
    }
    Tensormill__Frame *unpacked = tensormill__frame__unpack(&allocator, frame.bytes, frame.data);
    if (unpacked == NULL) {
        return no_room(&r, frame.bytes);
    }
    tm_status status = get_body(&r, unpacked, out);
    tensormill__frame__free_unpacked(unpacked, &allocator);
    return status;
}
