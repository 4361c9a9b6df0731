/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/prescan.h"

#include <string.h>

#include "tests/support/suite.h"

extern const ProtobufCMessageDescriptor tensormill__frame__descriptor;

struct example {
    const char *bytes;
    size_t size;
    const char *where; /* NULL: accepted */
    const char *why;
};
#define EXAMPLE(text, where, why)                                                                  \
    {                                                                                              \
        text, sizeof(text) - 1, where, why                                                         \
    }

/* Field keys by hand: number << 3 | wire type. 0x1a = 3 (want), bytes; 0x32 = 6 (heartbeat);
 * 0x62 = 12 (ban); 0x0a = 1, bytes; 0x08 = 1, varint. */
static const struct example examples[] = {
    EXAMPLE("\x1a\x02\x08\x05", NULL, NULL),
    EXAMPLE("\x1a\x00", NULL, NULL),
    EXAMPLE("\x62\x04\x0a\x02hi", NULL, NULL),
    EXAMPLE("", "Frame.?", "no message"),
    EXAMPLE("\x1a", "Frame.want", "no valid length"),
    EXAMPLE("\x1a\x03\x08\x05", "Frame.want", "length past the end"),
    EXAMPLE("\x1a\x02\x08\x05\x1a\x00", "Frame.?", "more than one message"),
    EXAMPLE("\x1a\x02\x08\x05\x62\x00", "Frame.?", "more than one message"),
    EXAMPLE("\x18\x05", "Frame.want", "wrong wire type"),
    EXAMPLE("\x1d\x01\x02\x03\x04", "Frame.want", "wrong wire type"),
    EXAMPLE("\xf2\x01\x00", "Frame.?", "unknown field"), /* 30 */
    EXAMPLE("\x02\x00", "Frame.?", "unknown field"),     /* 0 */
    EXAMPLE("\x1a\x02\x10\x05", "Want.?", "unknown field"),
    EXAMPLE("\x1a\x04\x08\x05\x08\x05", "Want.slots", "occurs twice"),
    EXAMPLE("\x1a\x03\x08\x85\x00", "Want.slots", "no valid number"), /* 5 in two bytes */
    EXAMPLE("\x1a\x02\x08\x80", "Want.slots", "no valid number"),     /* cut */
    EXAMPLE("\x1a\x06\x08\xff\xff\xff\xff\x0f", NULL, NULL),
    EXAMPLE("\x1a\x06\x08\x80\x80\x80\x80\x10", "Want.slots", "number above 32 bits"),
    /* heartbeat.epoch is 64 bits: all of them, and one more */
    EXAMPLE("\x32\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", NULL, NULL),
    EXAMPLE("\x32\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "Heartbeat.epoch",
            "no valid number"),
    EXAMPLE("\x32\x0d\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", "Heartbeat.epoch",
            "no valid number"),
    EXAMPLE("\x62\x03\x0a\x01\x1b", "Ban.reason", "control character"),
    EXAMPLE("\x62\x03\x0a\x01\x00", "Ban.reason", "control character"),
    EXAMPLE("\x62\x04\x0a\x02\xc2\x85", "Ban.reason", "control character"), /* C1 */
    EXAMPLE("\x62\x03\x0a\x01\xff", "Ban.reason", "invalid UTF-8"),
    EXAMPLE("\x62\x06\x0a\x04\xf0\x9f\x98\x80", NULL, NULL),
    EXAMPLE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00", "Frame.?", "no valid field key"),
};

START_TEST(by_hand)
{
    const struct example *e = &examples[_i];
    struct tm_prescan scan;
    struct tm_err err = {0};
    tm_status status =
        tm_prescan(tm_view_of(e->bytes, e->size), &tensormill__frame__descriptor, &scan, &err);
    if (e->where == NULL) {
        ck_assert_msg(status == TM_OK, "%s: %s", err.where, err.why);
        ck_assert_uint_eq(scan.body, (uint8_t)e->bytes[0] >> 3);
        ck_assert_uint_eq(scan.inner.bytes, e->size - 2);
        ck_assert_ptr_eq(scan.inner.data, e->bytes + 2);
    } else {
        ck_assert_int_eq(status, TM_E_MALFORMED);
        ck_assert_str_eq(err.where, e->where);
        ck_assert_msg(strstr(err.why, e->why) != NULL, "%s", err.why);
    }
}
END_TEST

/* 1,024 fields pass, one more does not: the frame's own, then tokens of a heartbeat. */
START_TEST(field_count)
{
    static uint8_t frame[4 + 2 * TM_PRESCAN_FIELDS_MAX];
    for (size_t tokens = TM_PRESCAN_FIELDS_MAX - 2; tokens <= TM_PRESCAN_FIELDS_MAX; tokens++) {
        size_t inner = 2 * tokens;
        frame[0] = 0x32;
        frame[1] = (uint8_t)(0x80 | (inner & 0x7f));
        frame[2] = (uint8_t)(inner >> 7);
        for (size_t i = 0; i < tokens; i++) {
            frame[3 + 2 * i] = 0x12; /* tokens = 2, empty */
            frame[4 + 2 * i] = 0;
        }
        struct tm_prescan scan;
        struct tm_err err = {0};
        tm_status status =
            tm_prescan(tm_view_of(frame, 3 + inner), &tensormill__frame__descriptor, &scan, &err);
        bool fits = tokens + 1 <= TM_PRESCAN_FIELDS_MAX;
        ck_assert_int_eq(status, fits ? TM_OK : TM_E_LIMIT);
        ck_assert_msg(fits || strstr(err.why, "1024 fields") != NULL, "%s", err.why);
    }
}
END_TEST

/* A message type that contains itself, which mesh.proto must never have: the limit still holds. */
static const ProtobufCMessageDescriptor recursive;
static const ProtobufCFieldDescriptor recursive_fields[] = {
    {.name = "self",
     .id = 1,
     .label = PROTOBUF_C_LABEL_NONE,
     .type = PROTOBUF_C_TYPE_MESSAGE,
     .descriptor = &recursive},
};
static const ProtobufCIntRange recursive_ranges[] = {{1, 0}, {0, 1}};
static const ProtobufCMessageDescriptor recursive = {
    .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
    .name = "Recursive",
    .short_name = "Recursive",
    .n_fields = 1,
    .fields = recursive_fields,
    .n_field_ranges = 1,
    .field_ranges = recursive_ranges,
};

START_TEST(depth)
{
    uint8_t frame[2 * (TM_PRESCAN_DEPTH_MAX + 1)];
    for (size_t nested = 1; nested <= TM_PRESCAN_DEPTH_MAX; nested++) {
        for (size_t i = 0; i < nested; i++) {
            frame[2 * i] = 0x0a;
            frame[2 * i + 1] = (uint8_t)(2 * (nested - i - 1));
        }
        struct tm_prescan scan;
        struct tm_err err = {0};
        tm_status status = tm_prescan(tm_view_of(frame, 2 * nested), &recursive, &scan, &err);
        /* the outermost level counts */
        ck_assert_int_eq(status, nested < TM_PRESCAN_DEPTH_MAX ? TM_OK : TM_E_LIMIT);
    }
}
END_TEST

START_TEST(lift)
{
    /* 1: "ab", 2: 300, 4: "piece", 3: 7 */
    static const char message[] = "\x0a\x02"
                                  "ab"
                                  "\x10\xac\x02"
                                  "\x22\x05piece"
                                  "\x18\x07";
    struct tm_view whole = tm_view_of(message, sizeof message - 1);
    struct tm_view payload;
    uint8_t rest[16];
    size_t rest_bytes = 0;
    ck_assert_int_eq(tm_prescan_lift(whole, 4, &payload, rest, sizeof rest, &rest_bytes), TM_OK);
    ck_assert(tm_view_eq_str(payload, "piece"));
    ck_assert_ptr_eq(payload.data, message + 9);
    ck_assert(tm_view_eq_str(tm_view_of(rest, rest_bytes), "\x0a\x02"
                                                           "ab\x10\xac\x02\x18\x07"));
    ck_assert_int_eq(tm_prescan_lift(whole, 4, &payload, rest, 8, &rest_bytes), TM_E_LIMIT);
    ck_assert_int_eq(tm_prescan_lift(whole, 5, &payload, rest, sizeof rest, &rest_bytes), TM_OK);
    ck_assert_uint_eq(payload.bytes, 0);
    ck_assert_uint_eq(rest_bytes, whole.bytes);
    whole.bytes -= 1;
    ck_assert_int_eq(tm_prescan_lift(whole, 4, &payload, rest, sizeof rest, &rest_bytes),
                     TM_E_MALFORMED);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("prescan");
    TCase *tc = tcase_create("prescan");
    tcase_add_loop_test(tc, by_hand, 0, (int)(sizeof examples / sizeof examples[0]));
    tcase_add_test(tc, field_count);
    tcase_add_test(tc, depth);
    tcase_add_test(tc, lift);
    suite_add_tcase(suite, tc);
    return suite;
}
