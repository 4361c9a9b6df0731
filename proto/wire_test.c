/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire.h"

#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/suite.h"

static const enum tm_msg_type all_types[] = {
    TM_MSG_HELLO,     TM_MSG_WELCOME, TM_MSG_WANT,    TM_MSG_LEASE, TM_MSG_IDLE,
    TM_MSG_HEARTBEAT, TM_MSG_RESULT,  TM_MSG_RECEIPT, TM_MSG_FETCH, TM_MSG_DATA,
    TM_MSG_CREDIT,    TM_MSG_BAN,     TM_MSG_BYE};
#define TYPE_COUNT ((int)(sizeof all_types / sizeof all_types[0]))

static uint8_t piece[TM_DATA_PIECE_MAX];

static void random_text(struct tm_rng *rng, size_t min, size_t max, char *out)
{
    size_t bytes = min + (size_t)tm_rng_below(rng, max - min + 1);
    for (size_t i = 0; i < bytes; i++) {
        out[i] = (char)(' ' + tm_rng_below(rng, 95));
    }
    out[bytes] = '\0';
}

static uint32_t random_u32(struct tm_rng *rng, uint32_t min)
{
    uint32_t value = (uint32_t)tm_rng_u64(rng) >> tm_rng_below(rng, 32);
    return value < min ? min : value;
}

static void fill_hello(struct tm_rng *rng, struct tm_msg_hello *m)
{
    m->protocol = random_u32(rng, 0);
    random_text(rng, 1, TM_MSG_NAME_MAX - 1, m->software);
    tm_rng_fill(rng, &m->key, sizeof m->key);
    random_text(rng, 0, TM_MSG_NAME_MAX - 1, m->name);
    m->cores = 1 + (uint32_t)tm_rng_below(rng, TM_MSG_CORES_MAX);
    m->ram_bytes = tm_rng_u64(rng);
    tm_rng_fill(rng, &m->encoders, sizeof m->encoders);
    m->speed_count = (uint32_t)tm_rng_below(rng, TM_MSG_SPEEDS_MAX + 1);
    for (uint32_t i = 0; i < m->speed_count; i++) {
        random_text(rng, 1, TM_MSG_TEXT_MAX - 1, m->speeds[i].pipeline);
        m->speeds[i].weights_per_s = tm_rng_u64(rng);
    }
}

static void fill_lease(struct tm_rng *rng, struct tm_msg_lease *m)
{
    tm_rng_fill(rng, &m->token, sizeof m->token);
    m->epoch = tm_rng_u64(rng);
    m->deadline_ms = random_u32(rng, 1);
    m->unit_count = 1 + (uint32_t)tm_rng_below(rng, TM_MSG_LEASE_UNITS_MAX);
    for (uint32_t i = 0; i < m->unit_count; i++) {
        struct tm_msg_unit *unit = &m->units[i];
        unit->unit = random_u32(rng, 0);
        tm_rng_fill(rng, &unit->source, sizeof unit->source);
        unit->source_bytes = random_u32(rng, 1);
        unit->dtype = (uint32_t)tm_rng_below(rng, 256);
        unit->rows = random_u32(rng, 1);
        unit->cols = random_u32(rng, 1);
        unit->pipeline = (uint32_t)tm_rng_below(rng, TM_MSG_SPEEDS_MAX);
    }
}

static void fill_rest(struct tm_rng *rng, struct tm_msg *m)
{
    switch (m->type) {
    case TM_MSG_WELCOME:
        m->welcome.epoch = 1 + tm_rng_below(rng, UINT64_MAX);
        m->welcome.heartbeat_ms = 1 + (uint32_t)tm_rng_below(rng, TM_MSG_HEARTBEAT_MS_MAX);
        tm_rng_fill(rng, &m->welcome.plan, sizeof m->welcome.plan);
        m->welcome.pipeline_count = (uint32_t)tm_rng_below(rng, TM_MSG_SPEEDS_MAX + 1);
        for (uint32_t i = 0; i < m->welcome.pipeline_count; i++) {
            random_text(rng, 1, TM_MSG_TEXT_MAX - 1, m->welcome.pipelines[i]);
        }
        break;
    case TM_MSG_HEARTBEAT:
        m->heartbeat.epoch = tm_rng_u64(rng);
        m->heartbeat.token_count = (uint32_t)tm_rng_below(rng, TM_MSG_TOKENS_MAX + 1);
        tm_rng_fill(rng, m->heartbeat.tokens,
                    m->heartbeat.token_count * sizeof m->heartbeat.tokens[0]);
        break;
    case TM_MSG_DATA:
        tm_rng_fill(rng, &m->data.id, sizeof m->data.id);
        m->data.piece.data = piece;
        m->data.piece.bytes = 1 + (size_t)tm_rng_below(rng, TM_DATA_PIECE_MAX);
        m->data.offset = random_u32(rng, 0) / 2;
        m->data.total = m->data.offset + (uint32_t)m->data.piece.bytes;
        break;
    default:
        TM_ASSERT(m->type == TM_MSG_BAN || m->type == TM_MSG_BYE);
        random_text(rng, 0, TM_MSG_TEXT_MAX - 1, m->ban.reason);
        break;
    }
}

static void fill(struct tm_rng *rng, enum tm_msg_type type, struct tm_msg *m)
{
    memset(m, 0, sizeof *m);
    m->type = type;
    switch (type) {
    case TM_MSG_HELLO:
        fill_hello(rng, &m->hello);
        break;
    case TM_MSG_LEASE:
        fill_lease(rng, &m->lease);
        break;
    case TM_MSG_WANT:
        m->want.slots = 1 + (uint32_t)tm_rng_below(rng, TM_MSG_LEASE_UNITS_MAX);
        break;
    case TM_MSG_IDLE:
        m->idle.retry_ms = random_u32(rng, 0);
        break;
    case TM_MSG_RESULT:
        tm_rng_fill(rng, &m->result.token, sizeof m->result.token);
        m->result.epoch = tm_rng_u64(rng);
        m->result.unit = random_u32(rng, 0);
        tm_rng_fill(rng, &m->result.leaf, sizeof m->result.leaf);
        m->result.bytes = random_u32(rng, 1);
        m->result.compute_ms = random_u32(rng, 0);
        tm_rng_fill(rng, &m->result.sig, sizeof m->result.sig);
        break;
    case TM_MSG_RECEIPT:
        m->receipt.unit = random_u32(rng, 0);
        tm_rng_fill(rng, &m->receipt.leaf, sizeof m->receipt.leaf);
        m->receipt.verdict = (enum tm_receipt)(1 + tm_rng_below(rng, 3));
        random_text(rng, 0, TM_MSG_TEXT_MAX - 1, m->receipt.reason);
        break;
    case TM_MSG_FETCH:
        tm_rng_fill(rng, &m->fetch.id, sizeof m->fetch.id);
        m->fetch.credit_bytes = random_u32(rng, 1);
        break;
    case TM_MSG_CREDIT:
        tm_rng_fill(rng, &m->credit.id, sizeof m->credit.id);
        m->credit.credit_bytes = random_u32(rng, 1);
        break;
    default:
        fill_rest(rng, m);
        break;
    }
}

/* Field by field would repeat wire.c; both structs were zeroed first, so their bytes compare, but
 * for text after its NUL, which is zero too, and the piece, which is elsewhere. */
static void assert_same(const struct tm_msg *a, const struct tm_msg *b)
{
    if (a->type != TM_MSG_DATA) {
        ck_assert_mem_eq(a, b, sizeof *a);
        return;
    }
    ck_assert_int_eq(b->type, TM_MSG_DATA);
    ck_assert(tm_digest_eq(&a->data.id, &b->data.id));
    ck_assert_uint_eq(a->data.offset, b->data.offset);
    ck_assert_uint_eq(a->data.total, b->data.total);
    ck_assert(tm_view_eq(a->data.piece, b->data.piece));
}

START_TEST(round_trip)
{
    struct tm_rng rng;
    tm_rng_init(&rng, 100 + (uint64_t)_i);
    tm_rng_fill(&rng, piece, sizeof piece);
    static struct tm_msg in, out;
    for (int round = 0; round < 200; round++) {
        fill(&rng, all_types[_i], &in);
        struct tm_buf buf;
        tm_buf_init(&buf, TM_BULK_BYTES_MAX + 3);
        ck_assert_int_eq(tm_buf_put_str(&buf, "old"), TM_OK); /* pack appends */
        ck_assert_int_eq(tm_wire_pack(&in, &buf), TM_OK);
        struct tm_view frame = tm_view_of(buf.data + 3, buf.bytes - 3);
        ck_assert(frame.bytes <=
                  (tm_wire_is_bulk(in.type) ? TM_BULK_BYTES_MAX : TM_CONTROL_BYTES_MAX));
        struct tm_err err = {0};
        ck_assert_msg(tm_wire_unpack(frame, &out, &err) == TM_OK, "%s: %s", err.where, err.why);
        assert_same(&in, &out);
        if (in.type == TM_MSG_DATA) { /* borrowed, not copied */
            ck_assert(out.data.piece.data >= frame.data &&
                      out.data.piece.data + out.data.piece.bytes <= frame.data + frame.bytes);
        }
        tm_buf_deinit(&buf);
    }
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}
END_TEST

/* Every cut of a frame is refused: either the scan sees it or a required field is missing. */
START_TEST(truncated)
{
    struct tm_rng rng;
    tm_rng_init(&rng, 7);
    static struct tm_msg in, out;
    fill(&rng, all_types[_i], &in);
    struct tm_buf buf;
    tm_buf_init(&buf, TM_BULK_BYTES_MAX);
    ck_assert_int_eq(tm_wire_pack(&in, &buf), TM_OK);
    for (size_t cut = 0; cut < buf.bytes; cut += cut < 600 ? 1 : 997) {
        uint8_t *copy = tm_memdup(buf.data, cut); /* exact size: ASan sees a read past it */
        tm_status status = tm_wire_unpack(tm_view_of(copy, cut), &out, NULL);
        ck_assert_int_eq(status, TM_E_MALFORMED);
        tm_free(copy);
    }
    tm_buf_deinit(&buf);
}
END_TEST

/* The largest message of each kind fits its socket. */
START_TEST(largest)
{
    static struct tm_msg in, out;
    static const enum tm_msg_type types[] = {TM_MSG_HELLO, TM_MSG_WELCOME, TM_MSG_LEASE};
    struct tm_msg_unit unit = {UINT32_MAX, {{0}},      UINT32_MAX,           255,
                               UINT32_MAX, UINT32_MAX, TM_MSG_SPEEDS_MAX - 1};
    for (size_t t = 0; t < 3; t++) {
        memset(&in, 0, sizeof in);
        in.type = types[t];
        if (in.type == TM_MSG_HELLO) {
            memset(in.hello.software, 'x', TM_MSG_NAME_MAX - 1);
            in.hello.cores = 1;
            in.hello.speed_count = TM_MSG_SPEEDS_MAX;
        } else if (in.type == TM_MSG_WELCOME) {
            in.welcome.epoch = UINT64_MAX;
            in.welcome.heartbeat_ms = 1;
            in.welcome.pipeline_count = TM_MSG_SPEEDS_MAX;
        } else {
            in.lease.deadline_ms = UINT32_MAX;
            in.lease.unit_count = TM_MSG_LEASE_UNITS_MAX;
        }
        for (size_t i = 0; i < TM_MSG_SPEEDS_MAX; i++) {
            if (in.type == TM_MSG_HELLO) {
                memset(in.hello.speeds[i].pipeline, 'p', TM_MSG_TEXT_MAX - 1);
            } else if (in.type == TM_MSG_WELCOME) {
                memset(in.welcome.pipelines[i], 'p', TM_MSG_TEXT_MAX - 1);
            }
        }
        for (size_t i = 0; in.type == TM_MSG_LEASE && i < TM_MSG_LEASE_UNITS_MAX; i++) {
            in.lease.units[i] = unit;
        }
        struct tm_buf buf;
        tm_buf_init(&buf, TM_BULK_BYTES_MAX);
        ck_assert_int_eq(tm_wire_pack(&in, &buf), TM_OK);
        ck_assert_int_eq(tm_wire_unpack(tm_buf_view(&buf), &out, NULL), TM_OK);
        assert_same(&in, &out);
        tm_buf_deinit(&buf);
    }
}
END_TEST

struct refusal {
    const char *bytes;
    size_t size;
    const char *where;
    const char *why;
};
#define REFUSAL(text, where, why)                                                                  \
    {                                                                                              \
        text, sizeof(text) - 1, where, why                                                         \
    }
#define ZEROS_16 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define ZEROS_32 ZEROS_16 ZEROS_16

static const struct refusal refusals[] = {
    REFUSAL("", "frame.(size)", "is 0, must be 1 to 278528"),
    REFUSAL("\x1a\x00", "WANT.slots", "is 0, must be 1 to 64"),
    REFUSAL("\x1a\x02\x08\x41", "WANT.slots", "is 65, must be 1 to 64"),
    REFUSAL("\x12\x00", "WELCOME.epoch", "is 0"),
    REFUSAL("\x22\x02\x0a\x00", "LEASE.token", "is 0, must be 16 to 16"),
    REFUSAL("\x22\x14\x0a\x10" ZEROS_16 "\x18\x01", "LEASE.units (count)", "is 0, must be 1 to 64"),
    REFUSAL("\x32\x03\x12\x01x", "HEARTBEAT.tokens", "is 1, must be 16 to 16"),
    REFUSAL("\x42\x22\x12\x20" ZEROS_32, "RECEIPT.verdict", "is 0, must be 1 to 3"),
    REFUSAL("\x42\x24\x12\x20" ZEROS_32 "\x18\x04", "RECEIPT.verdict", "is 4, must be 1 to 3"),
    REFUSAL("\x4a\x22\x0a\x20" ZEROS_32, "FETCH.credit_bytes", "is 0"),
    REFUSAL("\x4a\x23\x0a\x1f" ZEROS_16 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\x01", "FETCH", ""),
    REFUSAL("\x52\x26\x0a\x20" ZEROS_32 "\x18\x01\x22\x00", "DATA.piece (size)", "is 0"),
    REFUSAL("\x52\x27\x0a\x20" ZEROS_32 "\x22\x03"
            "abc",
            "DATA.total", "is 0, must be 3"),
    REFUSAL("\x52\x2b\x0a\x20" ZEROS_32 "\x10\x03\x18\x05\x22\x03"
            "abc",
            "DATA.offset", "is 3, must be 0 to 2"),
};

START_TEST(refused)
{
    const struct refusal *e = &refusals[_i];
    static struct tm_msg out;
    struct tm_err err = {0};
    ck_assert_int_eq(tm_wire_unpack(tm_view_of(e->bytes, e->size), &out, &err), TM_E_MALFORMED);
    ck_assert_msg(strncmp(err.where, e->where, strlen(e->where)) == 0, "%s", err.where);
    ck_assert_msg(strstr(err.why, e->why) != NULL, "%s", err.why);
}
END_TEST

/* A control frame of bulk size, and a piece too large, are refused on both sides. */
START_TEST(too_large)
{
    static uint8_t big[TM_BULK_BYTES_MAX + 1];
    static struct tm_msg msg;
    struct tm_err err = {0};
    ck_assert_int_eq(tm_wire_unpack(tm_view_of(big, sizeof big), &msg, &err), TM_E_MALFORMED);
    ck_assert_str_eq(err.where, "frame.(size)");

    /* BAN with a text of 70,000 bytes: 3-byte lengths */
    size_t text = 70000, inner = text + 4;
    big[0] = 0x62;
    big[4] = 0x0a;
    for (int i = 0; i < 3; i++) {
        uint8_t more = i < 2 ? 0x80 : 0;
        big[1 + i] = (uint8_t)((inner >> 7 * i & 0x7f) | more);
        big[5 + i] = (uint8_t)((text >> 7 * i & 0x7f) | more);
    }
    memset(big + 8, 'x', text);
    ck_assert_int_eq(tm_wire_unpack(tm_view_of(big, 8 + text), &msg, &err), TM_E_MALFORMED);
    ck_assert_str_eq(err.where, "BAN.(size)");

    struct tm_buf buf;
    tm_buf_init(&buf, SIZE_MAX);
    memset(&msg, 0, sizeof msg);
    msg.type = TM_MSG_DATA;
    msg.data.piece = tm_view_of(big, sizeof big);
    msg.data.total = sizeof big;
    ck_assert_int_eq(tm_wire_pack(&msg, &buf), TM_E_LIMIT);
    ck_assert_uint_eq(buf.bytes, 0);
    tm_buf_deinit(&buf);
}
END_TEST

START_TEST(our_own_bad_text)
{
    static struct tm_msg msg;
    memset(&msg, 0, sizeof msg);
    msg.type = TM_MSG_BYE;
    memcpy(msg.ban.reason, "bell\a", 6);
    struct tm_buf buf;
    tm_buf_init(&buf, TM_CONTROL_BYTES_MAX);
    ck_assert_int_eq(tm_buf_put_str(&buf, "kept"), TM_OK);
    ck_assert_int_eq(tm_wire_pack(&msg, &buf), TM_E_MALFORMED);
    ck_assert(tm_view_eq_str(tm_buf_view(&buf), "kept"));
    tm_buf_deinit(&buf);
}
END_TEST

/* Empty texts make protobuf-c allocate most a byte: within the budget, or refused by it. */
START_TEST(amplification)
{
    static uint8_t frame[4 + 2 * 1022];
    static struct tm_msg msg;
    size_t inner = 2 * 1022;
    frame[0] = 0x12; /* welcome */
    frame[1] = (uint8_t)(0x80 | (inner & 0x7f));
    frame[2] = (uint8_t)(inner >> 7);
    for (size_t i = 0; i < 1022; i++) {
        frame[3 + 2 * i] = 0x22; /* pipelines, empty */
        frame[4 + 2 * i] = 0;
    }
    tm_mem_reset_peak();
    size_t before = tm_mem_live_bytes();
    ck_assert_int_ne(tm_wire_unpack(tm_view_of(frame, 3 + inner), &msg, NULL), TM_OK);
    ck_assert_uint_le(tm_mem_peak_bytes() - before, 1024 + 8 * (3 + inner));
    ck_assert_uint_eq(tm_mem_live_bytes(), before);
}
END_TEST

START_TEST(allocation_failures)
{
    struct tm_rng rng;
    tm_rng_init(&rng, 11);
    static struct tm_msg in, out;
    fill(&rng, all_types[_i], &in);
    struct tm_buf buf;
    tm_buf_init(&buf, TM_BULK_BYTES_MAX);
    ck_assert_int_eq(tm_wire_pack(&in, &buf), TM_OK);
    size_t blocks = tm_mem_live_blocks();
    for (uint64_t n = 1;; n++) {
        tm_mem_fail_at(n);
        tm_status status = tm_wire_unpack(tm_buf_view(&buf), &out, NULL);
        ck_assert_uint_eq(tm_mem_live_blocks(), blocks);
        if (!tm_mem_failed()) {
            ck_assert_int_eq(status, TM_OK);
            ck_assert_uint_gt(n, 1);
            break;
        }
        ck_assert_int_eq(status, TM_E_NOMEM);
    }
    tm_mem_fail_at(0);
    tm_buf_deinit(&buf);
    tm_mem_fail_at(1);
    ck_assert_int_eq(tm_wire_pack(&in, &buf), TM_E_NOMEM);
    tm_mem_fail_at(0);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("wire");
    TCase *tc = tcase_create("wire");
    tcase_add_loop_test(tc, round_trip, 0, TYPE_COUNT);
    tcase_add_loop_test(tc, truncated, 0, TYPE_COUNT);
    tcase_add_test(tc, largest);
    tcase_add_loop_test(tc, refused, 0, (int)(sizeof refusals / sizeof refusals[0]));
    tcase_add_test(tc, too_large);
    tcase_add_test(tc, our_own_bad_text);
    tcase_add_test(tc, amplification);
    tcase_add_loop_test(tc, allocation_failures, 0, TYPE_COUNT);
    suite_add_tcase(suite, tc);
    return suite;
}
