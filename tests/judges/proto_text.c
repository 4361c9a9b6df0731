/* SPDX-License-Identifier: Apache-2.0
 * Helper of judge_protoc.py: our messages as JSON. Reads one command a line, answers one line each:
 *   pack {"type": "hello", "protocol": "1", ...}   the frame in hex
 *   unpack HEX                                      the message in the same JSON
 * or "error ..." with our own reason. Numbers are decimal texts, bytes are hex, lists are arrays of
 * objects. The fields are those of proto/message.h, by a table. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"
#include "proto/wire.h"

enum kind { U32, U64, TEXT, BYTES, VIEW, LIST };

struct field {
    const char *name;
    enum kind kind;
    size_t at, bytes;         /* in the struct; bytes of one item for a list */
    size_t count_at, max;     /* list */
    const struct field *item; /* list */
};

#define AT(s, m) offsetof(struct s, m), sizeof(((struct s *)0)->m)
#define F(s, m, k)                                                                                 \
    {                                                                                              \
#m, k, AT(s, m), 0, 0, NULL                                                                \
    }
#define END                                                                                        \
    {                                                                                              \
        NULL, U32, 0, 0, 0, 0, NULL                                                                \
    }
#define L(s, m, n, items)                                                                          \
    {                                                                                              \
#m, LIST, offsetof(struct s, m), sizeof(((struct s *)0)->m[0]), offsetof(struct s, n),     \
            sizeof(((struct s *)0)->m) / sizeof(((struct s *)0)->m[0]), items                      \
    }

static const struct field speed[] = {F(tm_msg_speed, pipeline, TEXT),
                                     F(tm_msg_speed, weights_per_s, U64), END};
static const struct field text_item[] = {{"value", TEXT, 0, TM_MSG_TEXT_MAX, 0, 0, NULL}, END};
static const struct field token_item[] = {{"value", BYTES, 0, TM_LEASE_TOKEN_BYTES, 0, 0, NULL},
                                          END};
static const struct field unit[] = {
    F(tm_msg_unit, unit, U32),         F(tm_msg_unit, source, BYTES),
    F(tm_msg_unit, source_bytes, U32), F(tm_msg_unit, dtype, U32),
    F(tm_msg_unit, rows, U32),         F(tm_msg_unit, cols, U32),
    F(tm_msg_unit, pipeline, U32),     END};
static const struct field hello[] = {F(tm_msg_hello, protocol, U32),
                                     F(tm_msg_hello, software, TEXT),
                                     F(tm_msg_hello, key, BYTES),
                                     F(tm_msg_hello, name, TEXT),
                                     F(tm_msg_hello, cores, U32),
                                     F(tm_msg_hello, ram_bytes, U64),
                                     F(tm_msg_hello, encoders, BYTES),
                                     L(tm_msg_hello, speeds, speed_count, speed),
                                     END};
static const struct field welcome[] = {
    F(tm_msg_welcome, epoch, U64), F(tm_msg_welcome, heartbeat_ms, U32),
    F(tm_msg_welcome, plan, BYTES), L(tm_msg_welcome, pipelines, pipeline_count, text_item), END};
static const struct field want[] = {F(tm_msg_want, slots, U32), END};
static const struct field lease[] = {F(tm_msg_lease, token, BYTES), F(tm_msg_lease, epoch, U64),
                                     F(tm_msg_lease, deadline_ms, U32),
                                     L(tm_msg_lease, units, unit_count, unit), END};
static const struct field idle[] = {F(tm_msg_idle, retry_ms, U32), END};
static const struct field heartbeat[] = {F(tm_msg_heartbeat, epoch, U64),
                                         L(tm_msg_heartbeat, tokens, token_count, token_item), END};
static const struct field result[] = {
    F(tm_msg_result, token, BYTES), F(tm_msg_result, epoch, U64),
    F(tm_msg_result, unit, U32),    F(tm_msg_result, leaf, BYTES),
    F(tm_msg_result, bytes, U32),   F(tm_msg_result, compute_ms, U32),
    F(tm_msg_result, sig, BYTES),   END};
static const struct field receipt[] = {F(tm_msg_receipt, unit, U32), F(tm_msg_receipt, leaf, BYTES),
                                       F(tm_msg_receipt, verdict, U32),
                                       F(tm_msg_receipt, reason, TEXT), END};
static const struct field fetch[] = {F(tm_msg_fetch, id, BYTES), F(tm_msg_fetch, credit_bytes, U32),
                                     END};
static const struct field data[] = {F(tm_msg_data, id, BYTES), F(tm_msg_data, offset, U32),
                                    F(tm_msg_data, total, U32), F(tm_msg_data, piece, VIEW), END};
static const struct field credit[] = {F(tm_msg_credit, id, BYTES),
                                      F(tm_msg_credit, credit_bytes, U32), END};
static const struct field ban[] = {F(tm_msg_ban, reason, TEXT), END};

_Static_assert(sizeof(enum tm_receipt) == sizeof(uint32_t), "verdict is read as a number");

static const struct {
    const char *name;
    const struct field *fields;
} types[] = {
    [TM_MSG_HELLO] = {"hello", hello},    [TM_MSG_WELCOME] = {"welcome", welcome},
    [TM_MSG_WANT] = {"want", want},       [TM_MSG_LEASE] = {"lease", lease},
    [TM_MSG_IDLE] = {"idle", idle},       [TM_MSG_HEARTBEAT] = {"heartbeat", heartbeat},
    [TM_MSG_RESULT] = {"result", result}, [TM_MSG_RECEIPT] = {"receipt", receipt},
    [TM_MSG_FETCH] = {"fetch", fetch},    [TM_MSG_DATA] = {"data", data},
    [TM_MSG_CREDIT] = {"credit", credit}, [TM_MSG_BAN] = {"ban", ban},
    [TM_MSG_BYE] = {"bye", ban},
};
#define TYPE_COUNT (sizeof types / sizeof types[0])

static uint8_t piece[TM_BULK_BYTES_MAX + 1];

/* ---- JSON to struct; the input is ours, so mistakes in it are assertions ---- */

static void set_field(const struct field *f, struct tm_view text, uint8_t *base)
{
    uint64_t number = 0;
    if (f->kind == TEXT) {
        TM_ASSERT(text.bytes < f->bytes);
        memcpy(base + f->at, text.data, text.bytes);
    } else if (f->kind == BYTES) {
        TM_ASSERT(tm_hex_decode(text, base + f->at, f->bytes) == TM_OK);
    } else if (f->kind == VIEW) {
        TM_ASSERT(text.bytes / 2 <= sizeof piece);
        TM_ASSERT(tm_hex_decode(text, piece, text.bytes / 2) == TM_OK);
        *(struct tm_view *)(void *)(base + f->at) = tm_view_of(piece, text.bytes / 2);
    } else {
        TM_ASSERT(tm_parse_u64(text, &number) == TM_OK);
        if (f->kind == U32) {
            TM_ASSERT(number <= UINT32_MAX);
            *(uint32_t *)(void *)(base + f->at) = (uint32_t)number;
        } else {
            *(uint64_t *)(void *)(base + f->at) = number;
        }
    }
}

static void set_fields(const struct field *fields, const struct tm_json *node, uint8_t *base)
{
    for (const struct field *f = fields; f->name != NULL; f++) {
        const struct tm_json *value = tm_json_get(node, f->name);
        if (f->kind != LIST) {
            struct tm_view text = {0};
            if (value != NULL) {
                TM_ASSERT(tm_json_str(value, &text));
                set_field(f, text, base);
            }
            continue;
        }
        size_t count = tm_json_count(value);
        TM_ASSERT(count <= f->max);
        *(uint32_t *)(void *)(base + f->count_at) = (uint32_t)count;
        for (size_t i = 0; i < count; i++) {
            set_fields(f->item, tm_json_at(value, i), base + f->at + i * f->bytes);
        }
    }
}

static void pack(struct tm_view text)
{
    static struct tm_msg msg;
    struct tm_json_doc *doc = NULL;
    struct tm_view type = {0};
    struct tm_buf frame;
    memset(&msg, 0, sizeof msg);
    TM_ASSERT(tm_json_parse(text, "command", &doc, NULL) == TM_OK);
    TM_ASSERT(tm_json_str(tm_json_get(tm_json_root(doc), "type"), &type));
    for (size_t i = 1; i < TYPE_COUNT; i++) {
        if (tm_view_eq_str(type, types[i].name)) {
            msg.type = (enum tm_msg_type)i;
            set_fields(types[i].fields, tm_json_root(doc), (uint8_t *)&msg.hello);
        }
    }
    tm_json_free(&doc);
    tm_buf_init(&frame, TM_BULK_BYTES_MAX);
    tm_status status = tm_wire_pack(&msg, &frame);
    if (status != TM_OK) {
        printf("error %s\n", tm_status_name(status));
    } else {
        for (size_t i = 0; i < frame.bytes; i++) {
            printf("%02x", frame.data[i]);
        }
        putchar('\n');
    }
    tm_buf_deinit(&frame);
}

/* ---- struct to JSON ---- */

static void put_hex(struct tm_jw *jw, const char *name, struct tm_view bytes)
{
    char *hex = tm_alloc(2 * bytes.bytes + 1);
    TM_ASSERT(hex != NULL);
    tm_jw_str(jw, name, tm_hex_encode(bytes.data, bytes.bytes, hex));
    tm_free(hex);
}

static void put_fields(const struct field *fields, const uint8_t *base, struct tm_jw *jw)
{
    for (const struct field *f = fields; f->name != NULL; f++) {
        char number[32];
        if (f->kind == LIST) {
            uint32_t count = *(const uint32_t *)(const void *)(base + f->count_at);
            tm_jw_array(jw, f->name);
            for (uint32_t i = 0; i < count; i++) {
                tm_jw_object(jw, NULL);
                put_fields(f->item, base + f->at + i * f->bytes, jw);
                tm_jw_object_end(jw);
            }
            tm_jw_array_end(jw);
        } else if (f->kind == TEXT) {
            tm_jw_str(jw, f->name, (const char *)base + f->at);
        } else if (f->kind == BYTES) {
            put_hex(jw, f->name, tm_view_of(base + f->at, f->bytes));
        } else if (f->kind == VIEW) {
            put_hex(jw, f->name, *(const struct tm_view *)(const void *)(base + f->at));
        } else {
            uint64_t value = f->kind == U32 ? *(const uint32_t *)(const void *)(base + f->at)
                                            : *(const uint64_t *)(const void *)(base + f->at);
            snprintf(number, sizeof number, "%" PRIu64, value);
            tm_jw_str(jw, f->name, number);
        }
    }
}

static void unpack(struct tm_view hex)
{
    static struct tm_msg msg;
    static char line[2048];
    struct tm_err err = {0};
    size_t bytes = hex.bytes / 2;
    uint8_t *frame = tm_alloc(bytes + 1);
    TM_ASSERT(frame != NULL && tm_hex_decode(hex, frame, bytes) == TM_OK);
    if (tm_wire_unpack(tm_view_of(frame, bytes), &msg, &err) != TM_OK) {
        printf("error %s\n", tm_err_line(&err, line, sizeof line));
    } else {
        struct tm_buf out;
        struct tm_jw jw;
        tm_buf_init(&out, 4 * TM_BULK_BYTES_MAX);
        tm_jw_begin(&jw, &out, false);
        tm_jw_object(&jw, NULL);
        tm_jw_str(&jw, "type", types[msg.type].name);
        put_fields(types[msg.type].fields, (const uint8_t *)&msg.hello, &jw);
        tm_jw_object_end(&jw);
        TM_ASSERT(tm_jw_end(&jw) == TM_OK);
        printf("%.*s\n", (int)out.bytes, (const char *)out.data);
        tm_buf_deinit(&out);
    }
    tm_free(frame);
}

int main(void)
{
    static char line[8 * TM_BULK_BYTES_MAX];
    while (fgets(line, sizeof line, stdin) != NULL) {
        struct tm_view text = tm_view_str(line);
        TM_ASSERT(text.bytes > 0 && text.data[text.bytes - 1] == '\n');
        text.bytes--;
        if (strncmp(line, "pack ", 5) == 0) {
            pack(tm_view_of(text.data + 5, text.bytes - 5));
        } else if (strncmp(line, "unpack ", 7) == 0) {
            unpack(tm_view_of(text.data + 7, text.bytes - 7));
        } else {
            printf("error unknown command\n");
        }
        fflush(stdout);
    }
    return 0;
}
