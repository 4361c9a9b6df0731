/* SPDX-License-Identifier: Apache-2.0 */
#include "model/llama2c.h"

#include "base/bytes.h"
#include "base/mem.h"
#include "model/checkpoint.h"
#include "model/gguf_meta.h"
#include "tests/support/model_files.h"
#include "tests/support/suite.h"

/* dim 8, hidden 12, 2 layers, 4 heads of 2, 2 kv heads (4 rows), 16 tokens, context 6. */
static const uint32_t sizes[7] = {8, 12, 2, 4, 2, 16, 6};
enum { EMBED = 16 * 8, LAYER = 8 + 64 + 32 + 32 + 64 + 8 + 96 + 96 + 96, ROPE = 6 * 2 };

/* Float number i of the file has the value i: where a tensor starts tells where it was read. */
static void put_floats(struct tm_buf *buf, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        put_u32(buf, tm_f32_bits((float)i));
    }
}

static void put_sizes(struct tm_buf *buf, bool negated)
{
    for (unsigned i = 0; i < 7; i++) {
        put_u32(buf, i == 5 && negated ? 0u - sizes[i] : sizes[i]);
    }
}

static void make_v0(struct tm_buf *buf, bool own_head)
{
    tm_buf_init(buf, 1 << 20);
    put_sizes(buf, own_head);
    put_floats(buf, EMBED + 2 * LAYER + 8 + ROPE + (own_head ? EMBED : 0));
}

static void make_v1(struct tm_buf *buf, uint32_t version, uint8_t shared)
{
    static const uint8_t zeros[256];
    tm_buf_init(buf, 1 << 20);
    put_bytes(buf, "24ka", 4);
    put_u32(buf, version);
    put_sizes(buf, false);
    put_bytes(buf, &shared, 1);
    put_bytes(buf, zeros, 256 - buf->bytes);
    put_floats(buf, EMBED + 2 * LAYER + 8 + (shared ? 0 : EMBED));
}

static struct tm_checkpoint *open_good(const struct test_dir *dir, struct tm_buf *buf)
{
    struct tm_checkpoint *checkpoint = NULL;
    struct tm_err err = {.status = TM_OK};
    const char *path = test_put_buf(dir, "m.bin", buf);
    tm_buf_deinit(buf);
    ck_assert_msg(tm_checkpoint_open(path, &checkpoint, &err) == TM_OK, "%s %s", err.where,
                  err.why);
    ck_assert_int_eq(tm_checkpoint_inventory(checkpoint)->format, TM_FORMAT_LLAMA2C);
    ck_assert_str_eq(tm_checkpoint_inventory(checkpoint)->arch, "llama");
    return checkpoint;
}

/* The tensor is there with this shape, and its first value is `first`. */
static void expect(struct tm_checkpoint *checkpoint, const char *name, uint64_t rows, uint64_t cols,
                   unsigned first)
{
    const struct tm_inventory *inventory = tm_checkpoint_inventory(checkpoint);
    size_t i = tm_inventory_find(inventory, name, strlen(name));
    struct tm_err err;
    uint8_t bytes[4];
    ck_assert_msg(i < inventory->tensor_count, "%s", name);
    const struct tm_shape *shape = &inventory->tensors[i].shape;
    ck_assert_uint_eq(shape->rank, rows == 0 ? 1 : 2);
    ck_assert_uint_eq(shape->dim[shape->rank - 1], cols);
    ck_assert(rows == 0 || shape->dim[0] == rows);
    ck_assert_int_eq(inventory->tensors[i].dtype, TM_F32);
    ck_assert_int_eq(tm_checkpoint_read(checkpoint, i, 0, bytes, 4, &err), TM_OK);
    ck_assert_msg(tm_f32_from_bits(tm_get_u32(bytes)) == (float)first, "%s", name);
}

START_TEST(version_0)
{
    struct test_dir dir = test_dir_make();
    struct tm_buf buf;
    make_v0(&buf, _i == 1);
    struct tm_checkpoint *checkpoint = open_good(&dir, &buf);
    const struct tm_inventory *inventory = tm_checkpoint_inventory(checkpoint);
    ck_assert_uint_eq(inventory->tensor_count, 1 + 2 * 9 + 1 + (unsigned)_i);
    ck_assert_str_eq(inventory->tensors[0].name, "token_embd.weight");
    ck_assert_str_eq(inventory->tensors[1].name, "blk.0.attn_norm.weight");
    ck_assert_str_eq(inventory->tensors[18].name, "blk.1.ffn_up.weight");
    ck_assert_str_eq(inventory->tensors[19].name, "output_norm.weight");
    unsigned at = 0;
    expect(checkpoint, "token_embd.weight", 16, 8, at);
    expect(checkpoint, "blk.1.attn_norm.weight", 0, 8, (at += EMBED) + 8);
    expect(checkpoint, "blk.1.attn_q.weight", 8, 8, (at += 16) + 64);
    expect(checkpoint, "blk.1.attn_k.weight", 4, 8, (at += 128) + 32);
    expect(checkpoint, "blk.0.attn_v.weight", 4, 8, at += 64);
    expect(checkpoint, "blk.0.attn_output.weight", 8, 8, at += 64);
    expect(checkpoint, "blk.1.ffn_norm.weight", 0, 8, (at += 128) + 8);
    expect(checkpoint, "blk.0.ffn_gate.weight", 12, 8, at += 16);
    expect(checkpoint, "blk.0.ffn_down.weight", 8, 12, at += 192);
    expect(checkpoint, "blk.1.ffn_up.weight", 12, 8, (at += 192) + 96);
    expect(checkpoint, "output_norm.weight", 0, 8, at += 192);
    if (_i == 1) {
        expect(checkpoint, "output.weight", 16, 8, at + 8 + ROPE);
    }
    tm_checkpoint_close(&checkpoint);
    test_dir_remove(&dir);
}
END_TEST

START_TEST(version_1)
{
    struct test_dir dir = test_dir_make();
    struct tm_buf buf;
    make_v1(&buf, 1, _i == 0);
    struct tm_checkpoint *checkpoint = open_good(&dir, &buf);
    unsigned at = 0;
    ck_assert_uint_eq(tm_checkpoint_inventory(checkpoint)->tensor_count, 20 + (unsigned)_i);
    expect(checkpoint, "blk.0.attn_norm.weight", 0, 8, at);
    expect(checkpoint, "blk.1.ffn_norm.weight", 0, 8, (at += 16) + 8);
    expect(checkpoint, "output_norm.weight", 0, 8, at += 16);
    expect(checkpoint, "token_embd.weight", 16, 8, at += 8);
    expect(checkpoint, "blk.1.attn_q.weight", 8, 8, (at += EMBED) + 64);
    expect(checkpoint, "blk.1.ffn_up.weight", 12, 8, (at += 128 + 64 + 64 + 128 + 192 + 192) + 96);
    if (_i == 1) {
        expect(checkpoint, "output.weight", 16, 8, at + 192);
    }
    tm_checkpoint_close(&checkpoint);
    test_dir_remove(&dir);
}
END_TEST

START_TEST(what_travels_along)
{
    struct test_dir dir = test_dir_make();
    struct tm_buf buf, blob;
    struct tm_err err;
    struct tm_gguf_kv kv;
    uint64_t value = 0;
    make_v0(&buf, false);
    test_put_text(&dir, "tokenizer.bin", "tokens");
    struct tm_checkpoint *checkpoint = open_good(&dir, &buf);
    const struct tm_inventory *inventory = tm_checkpoint_inventory(checkpoint);
    size_t tokens = tm_inventory_attachment(inventory, "tokenizer.bin");
    ck_assert_uint_eq(inventory->attachment_count, 2);
    ck_assert_uint_eq(inventory->attachments[tokens].bytes, 6);
    ck_assert_uint_eq(inventory->warning_count, 1); /* six bytes are not sixteen tokens */
    ck_assert_ptr_nonnull(strstr(inventory->warnings[0], "not the tokenizer of these 16 tokens"));
    ck_assert_uint_eq(inventory->token_count, 0);
    tm_buf_init(&blob, 4096);
    ck_assert_int_eq(tm_checkpoint_attachment(checkpoint,
                                              tm_inventory_attachment(inventory, "gguf-metadata"),
                                              &blob, &err),
                     TM_OK);
    ck_assert_int_eq(tm_gguf_meta_check(tm_buf_view(&blob), &err), TM_OK);
    ck_assert(tm_gguf_meta_find(tm_buf_view(&blob), "llama.attention.head_count_kv", &kv));
    ck_assert(tm_gguf_kv_u64(&kv, &value) && value == 2);
    ck_assert(tm_gguf_meta_find(tm_buf_view(&blob), "llama.context_length", &kv));
    ck_assert(tm_gguf_kv_u64(&kv, &value) && value == 6);
    ck_assert(tm_gguf_meta_find(tm_buf_view(&blob), "llama.rope.dimension_count", &kv));
    ck_assert(tm_gguf_kv_u64(&kv, &value) && value == 2);
    tm_buf_deinit(&blob);
    tm_checkpoint_close(&checkpoint);
    test_dir_remove(&dir);
}
END_TEST

static void expect_refused(struct tm_buf *buf, tm_status wanted, const char *word)
{
    struct test_dir dir = test_dir_make();
    struct tm_checkpoint *checkpoint = NULL;
    struct tm_err err = {.status = TM_OK};
    const char *path = test_put_buf(&dir, "m.bin", buf);
    tm_status status = tm_checkpoint_open(path, &checkpoint, &err);
    ck_assert_msg(status == wanted, "%s: %s", tm_status_name(status), err.why);
    ck_assert_says(&err, word);
    ck_assert_says(&err, "m.bin");
    tm_buf_deinit(buf);
    test_dir_remove(&dir);
}

START_TEST(sizes_that_do_not_fit)
{
    struct tm_buf buf;
    make_v0(&buf, false);
    buf.bytes -= 4;
    expect_refused(&buf, TM_E_MALFORMED, "truncated");
    make_v0(&buf, false);
    put_u32(&buf, 0);
    expect_refused(&buf, TM_E_MALFORMED, "and the file has");
    make_v0(&buf, true);
    tm_set_u32(buf.data + 20, 16); /* the sign says whether there is a classifier */
    expect_refused(&buf, TM_E_MALFORMED, "dim 8, hidden 12, 2 layers and 16 tokens");
    make_v1(&buf, 1, 1);
    buf.bytes = 100;
    expect_refused(&buf, TM_E_MALFORMED, "header of 256 bytes");
    make_v1(&buf, 1, 2);
    expect_refused(&buf, TM_E_MALFORMED, "not the sizes of a model");
    make_v1(&buf, 1, 1);
    tm_set_u32(buf.data + 8, 7); /* dim, no multiple of the heads */
    expect_refused(&buf, TM_E_MALFORMED, "not the sizes of a model");
    make_v1(&buf, 1, 1);
    for (unsigned at = 8; at < 36; at += 4) {
        tm_set_u32(buf.data + at, at == 16 ? 10000 : 1u << 26);
    }
    tm_set_u32(buf.data + 20, 1u << 25);
    tm_set_u32(buf.data + 24, 1u << 25);
    expect_refused(&buf, TM_E_MALFORMED, "takes more than");
}
END_TEST

START_TEST(other_versions)
{
    struct tm_buf buf;
    make_v1(&buf, 2, 1);
    expect_refused(&buf, TM_E_INCOMPATIBLE, "version 2 (int8)");
    make_v1(&buf, 3, 1);
    expect_refused(&buf, TM_E_INCOMPATIBLE, "version 3 cannot be read");
}
END_TEST

START_TEST(told_from_other_files)
{
    struct tm_buf buf;
    make_v0(&buf, false);
    ck_assert(tm_llama2c_is(tm_view_of(buf.data, 28)));
    ck_assert(!tm_llama2c_is(tm_view_of(buf.data, 27)));
    for (unsigned at = 0; at < 28; at += 4) {
        uint32_t kept = tm_get_u32(buf.data + at);
        tm_set_u32(buf.data + at, 0);
        ck_assert(!tm_llama2c_is(tm_view_of(buf.data, 28)));
        tm_set_u32(buf.data + at, 0x7fffffff);
        ck_assert(!tm_llama2c_is(tm_view_of(buf.data, 28)));
        tm_set_u32(buf.data + at, kept);
    }
    tm_buf_deinit(&buf);
}
END_TEST

START_TEST(no_memory_is_an_error)
{
    struct test_dir dir = test_dir_make();
    struct tm_buf buf;
    make_v0(&buf, true);
    test_put_text(&dir, "tokenizer.bin", "tokens");
    const char *path = test_put_buf(&dir, "m.bin", &buf);
    tm_buf_deinit(&buf);
    uint64_t before = tm_mem_live_blocks();
    for (uint64_t n = 1, failed = 1; failed; n++) {
        struct tm_checkpoint *checkpoint = NULL;
        struct tm_err err;
        tm_mem_fail_at(n);
        tm_status status = tm_checkpoint_open(path, &checkpoint, &err);
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        tm_checkpoint_close(&checkpoint);
        ck_assert_uint_eq(tm_mem_live_blocks(), before);
    }
    test_dir_remove(&dir);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("llama2c");
    TCase *tcase = tcase_create("llama2c");
    tcase_add_loop_test(tcase, version_0, 0, 2);
    tcase_add_loop_test(tcase, version_1, 0, 2);
    tcase_add_test(tcase, what_travels_along);
    tcase_add_test(tcase, sizes_that_do_not_fit);
    tcase_add_test(tcase, other_versions);
    tcase_add_test(tcase, told_from_other_files);
    tcase_add_test(tcase, no_memory_is_an_error);
    suite_add_tcase(suite, tcase);
    return suite;
}
