/* SPDX-License-Identifier: Apache-2.0
 * Writing and reading whole packages: round trip, hostile changes, sizes past 4 GiB. */
#include "package/package.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "package/package_tables.h"
#include "tests/support/os_fault.h"
#include "tests/support/package_sample.h"
#include "tests/support/suite.h"

static char dir[64], path[96];
static struct sample s;
static struct tm_buf file; /* bytes of the sample package */
static struct tm_err err;

static void setup(void)
{
    snprintf(dir, sizeof dir, "/tmp/package_test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/a.tmpk", dir);
    sample_make(&s, SAMPLE_SEED);
    ck_assert_int_eq(sample_write(&s, path, &err), TM_OK);
    tm_buf_init(&file, 1 << 20);
    ck_assert_int_eq(tm_file_read(path, &file, &err), TM_OK);
}

static void teardown(void)
{
    tm_buf_deinit(&file);
    sample_free(&s);
    ck_assert_int_eq(tm_dir_remove_tree(dir, &err), TM_OK);
}

static void put_file(const void *data, size_t bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, data, bytes), (ssize_t)bytes);
    close(fd);
}

/* Opens and checks the file at path, whole. */
static tm_status check_whole(void)
{
    struct tm_package *p;
    TM_TRY(tm_package_open(path, &p, &err));
    tm_status status = tm_package_check(p, &err);
    tm_package_close(&p);
    return status;
}

START_TEST(test_round_trip)
{
    struct tm_package *p;
    uint32_t good;
    struct tm_buf chunk;
    ck_assert(tm_package_is(path));
    ck_assert_int_eq(tm_package_open(path, &p, &err), TM_OK);
    const struct tm_pkg_meta *m = tm_package_meta(p);
    ck_assert_str_eq(m->model_name, "sample");
    ck_assert_str_eq(m->arch, "llama");
    ck_assert_str_eq(m->plan, s.meta.plan);
    ck_assert(tm_digest_eq(&m->plan_digest, &s.meta.plan_digest));
    ck_assert(tm_digest_eq(&m->encoders, &s.meta.encoders));
    ck_assert_uint_eq(m->pipeline_count, 2);
    ck_assert_str_eq(m->pipelines[1], "zstd(level=3)");
    ck_assert_uint_eq(m->tensor_count, 2);
    ck_assert_uint_eq(m->tensors[0].dim[1], 32);
    ck_assert_uint_eq(m->tensors[0].dtype, 2);
    ck_assert_uint_eq(m->tensors[1].source_bytes, 24);
    ck_assert_str_eq(m->attachments[0].name, "tokenizer/vocab.json");
    ck_assert_uint_eq(m->attachments[0].bytes, 350);
    ck_assert_uint_eq(tm_package_bytes(p), file.bytes);
    ck_assert(tm_public_key_eq(tm_package_owner(p), tm_identity_public(s.owner)));
    ck_assert_uint_eq(tm_package_find(p, "b.weight", 8), 0);
    ck_assert_uint_eq(tm_package_find(p, "a.norm", 6), 1);
    ck_assert_uint_eq(tm_package_find(p, "a.nor", 5), UINT32_MAX);
    ck_assert_uint_eq(tm_package_find(p, "a.norms", 7), UINT32_MAX);
    ck_assert_uint_eq(tm_package_find(p, "b.weigh", 7), UINT32_MAX);
    ck_assert_uint_eq(tm_package_find(p, "b.weights", 9), UINT32_MAX);
    ck_assert_uint_eq(tm_package_find(p, "", 0), UINT32_MAX);
    ck_assert_uint_eq(tm_package_find(p, NULL, 0), UINT32_MAX);
    const struct tm_pkg_meta *found = tm_package_meta(p);
    ck_assert_uint_eq(tm_pkg_attachment_find(found, "tokenizer/vocab.json"), 0);
    ck_assert_uint_eq(tm_pkg_attachment_find(found, "tokenizer/vocab"), UINT32_MAX);
    tm_buf_init(&chunk, 4096);
    for (uint32_t i = 0; i < SAMPLE_CHUNKS; i++) {
        ck_assert_uint_eq(m->chunks[i].offset % TM_PACKAGE_ALIGN, 0);
        ck_assert_int_eq(tm_package_chunk(p, i, &chunk, &err), TM_OK);
        ck_assert(tm_view_eq(tm_buf_view(&chunk), tm_view_of(s.data[i], s.bytes[i])));
    }
    tm_buf_deinit(&chunk);
    const struct tm_pkg_ledger *l = tm_package_ledger(p);
    ck_assert_uint_eq(l->entry_count, SAMPLE_CHUNKS);
    ck_assert_uint_eq(l->entries[3].squared_error_bits, 0x3ff0000000000003u);
    ck_assert_uint_eq(l->entries[0].checks, TM_CHECK_DECODED | TM_CHECK_AUDITED);
    ck_assert_uint_eq(l->banned_count, 1);
    ck_assert_int_eq(tm_package_check(p, &err), TM_OK);
    ck_assert_int_eq(tm_package_check_ledger(p, &good, &err), TM_OK);
    ck_assert_uint_eq(good, SAMPLE_CHUNKS);
    tm_package_close(&p);
    ck_assert_ptr_null(p);
}
END_TEST

START_TEST(test_same_input_same_bytes)
{
    struct tm_buf again;
    tm_buf_init(&again, 1 << 20);
    ck_assert_int_eq(sample_write(&s, path, &err), TM_OK);
    ck_assert_int_eq(tm_file_read(path, &again, &err), TM_OK);
    ck_assert(tm_view_eq(tm_buf_view(&again), tm_buf_view(&file)));
    /* The golden package of version 1: what was written once can be read for ever. */
    tm_buf_clear(&again);
    ck_assert_int_eq(tm_file_read("tests/vectors/package_v1.tmpk", &again, &err), TM_OK);
    ck_assert(tm_view_eq(tm_buf_view(&again), tm_buf_view(&file)));
    tm_buf_deinit(&again);
}
END_TEST

/* The id is a function of the content alone: other nodes, another owner, same id. */
START_TEST(test_id_without_ledger)
{
    struct tm_package *p;
    ck_assert_int_eq(tm_package_open(path, &p, &err), TM_OK);
    struct tm_digest id = *tm_package_id(p);
    tm_package_close(&p);
    /* By hand from the documented bytes. */
    struct tm_hash *hash;
    uint64_t tables = tm_get_u64(file.data + 16);
    ck_assert_int_eq(tm_hash_new(&hash), TM_OK);
    tm_hash_update(hash, "tensormill.package-id.v1", 24);
    tm_hash_update(hash, file.data, 112);
    tm_hash_update(hash, file.data + 128, tables);
    struct tm_digest by_hand = tm_hash_final(hash);
    tm_hash_destroy(&hash);
    ck_assert(tm_digest_eq(&id, &by_hand));

    s.ledger.banned_count = 0;
    tm_identity_destroy(&s.owner);
    s.owner = sample_identity(9);
    ck_assert_int_eq(sample_write(&s, path, &err), TM_OK);
    ck_assert_int_eq(tm_package_open(path, &p, &err), TM_OK);
    ck_assert_uint_eq(tm_package_bytes(p), file.bytes - TM_NODE_ID_BYTES);
    ck_assert(tm_digest_eq(tm_package_id(p), &id));
    tm_package_close(&p);
}
END_TEST

START_TEST(test_truncated_everywhere)
{
    for (size_t n = 0; n < file.bytes; n++) {
        char line[2048];
        put_file(file.data, n);
        tm_status status = check_whole();
        ck_assert_msg(status == TM_E_MALFORMED, "%zu bytes: %s", n, tm_status_name(status));
        ck_assert_ptr_nonnull(strstr(tm_err_line(&err, line, sizeof line), path));
        ck_assert_ptr_nonnull(strstr(line, "at byte"));
    }
    put_file(file.data, file.bytes);
    ck_assert_int_eq(check_whole(), TM_OK);
}
END_TEST

START_TEST(test_each_byte_flipped)
{
    for (size_t n = 0; n < file.bytes; n++) {
        static const uint8_t masks[] = {0x01, 0x80, 0xff};
        for (size_t k = 0; k < sizeof masks; k++) {
            file.data[n] ^= masks[k];
            put_file(file.data, file.bytes);
            file.data[n] ^= masks[k];
            err.why[0] = '\0';
            tm_status status = check_whole();
            ck_assert_msg(tm_status_exit_code(status) == 4, "byte %zu: %s", n,
                          tm_status_name(status));
            ck_assert_str_ne(err.why, "");
            ck_assert_ptr_nonnull(strstr(err.where, "at byte"));
        }
    }
}
END_TEST

START_TEST(test_longer_than_declared)
{
    ck_assert_int_eq(tm_buf_put_u8(&file, 0), TM_OK);
    put_file(file.data, file.bytes);
    ck_assert_int_eq(check_whole(), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "its header says"));
}
END_TEST

START_TEST(test_damaged_chunk_names_place)
{
    struct tm_package *p;
    struct tm_buf chunk;
    char at[64];
    file.data[s.meta.chunks[3].offset + 7] ^= 4;
    put_file(file.data, file.bytes);
    ck_assert_int_eq(tm_package_open(path, &p, &err), TM_OK);
    tm_buf_init(&chunk, 4096);
    ck_assert_int_eq(tm_package_chunk(p, 2, &chunk, &err), TM_OK);
    ck_assert_int_eq(tm_package_chunk(p, 3, &chunk, &err), TM_E_VERIFY);
    snprintf(at, sizeof at, "at byte %llu", (unsigned long long)s.meta.chunks[3].offset);
    ck_assert_ptr_nonnull(strstr(err.where, at));
    ck_assert_ptr_nonnull(strstr(err.why, "the leaf hash of chunk 3 is"));
    ck_assert_uint_eq(chunk.bytes, 0);
    tm_buf_deinit(&chunk);
    tm_package_close(&p);
}
END_TEST

START_TEST(test_damaged_tail_is_named)
{
    file.data[file.bytes - 1] ^= 1;
    put_file(file.data, file.bytes);
    ck_assert_int_eq(check_whole(), TM_E_MALFORMED);
    ck_assert_str_eq(err.why, "the file does not end with the tail's magic");
}
END_TEST

START_TEST(test_padding_is_checked)
{
    file.data[s.meta.chunks[0].offset + 101] = 1;
    put_file(file.data, file.bytes);
    ck_assert_int_eq(check_whole(), TM_E_MALFORMED);
    ck_assert_str_eq(err.why, "padding is not zero");
}
END_TEST

START_TEST(test_parts)
{
    struct tm_pkg_layout l;
    struct tm_pkg_meta meta;
    struct tm_pkg_ledger ledger;
    ck_assert_int_eq(tm_pkg_layout_parse(tm_view_of(file.data, 128), &l, &err), TM_OK);
    ck_assert_uint_eq(l.file_bytes, file.bytes);
    struct tm_view front = tm_view_of(file.data, l.front_bytes);
    struct tm_view back = tm_view_of(file.data + l.back_offset, file.bytes - l.back_offset);
    struct tm_digest id, other = {{1}};
    ck_assert_int_eq(tm_pkg_id(front, &id), TM_OK);
    const struct tm_public_key *owner = tm_identity_public(s.owner);
    ck_assert_int_eq(tm_pkg_parse_parts(front, back, "x", &id, owner, &meta, &ledger, &err), TM_OK);
    ck_assert_uint_eq(meta.chunk_count, SAMPLE_CHUNKS);
    tm_pkg_meta_deinit(&meta);
    tm_pkg_ledger_deinit(&ledger);
    ck_assert_int_eq(tm_pkg_parse_parts(front, back, "x", &other, owner, &meta, &ledger, &err),
                     TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.why, "the package id is"));
    const struct tm_public_key *stranger = tm_identity_public(s.node[0]);
    ck_assert_int_eq(tm_pkg_parse_parts(front, back, "x", &id, stranger, &meta, &ledger, &err),
                     TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.why, "signed by key"));
    file.data[0] ^= 1;
    ck_assert_int_eq(tm_pkg_parse_parts(front, back, "x", NULL, NULL, &meta, &ledger, &err),
                     TM_E_MALFORMED);
    ck_assert_str_eq(err.why, "not a .tmpk package (no magic)");
    file.data[0] ^= 1;
    back.bytes--;
    ck_assert_int_eq(tm_pkg_parse_parts(front, back, "x", NULL, NULL, &meta, &ledger, &err),
                     TM_E_MALFORMED);
    front.bytes--;
    ck_assert_int_eq(tm_pkg_parse_parts(front, back, "x", NULL, NULL, &meta, &ledger, &err),
                     TM_E_MALFORMED);
    ck_assert_ptr_null(meta.chunks);
}
END_TEST

START_TEST(test_bad_ledger_signature_is_named)
{
    struct tm_package *p;
    uint32_t good;
    s.ledger.entries[2].sig.b[5] ^= 1;
    ck_assert_int_eq(sample_write(&s, path, &err), TM_OK);
    ck_assert_int_eq(tm_package_open(path, &p, &err), TM_OK);
    ck_assert_int_eq(tm_package_check_ledger(p, &good, &err), TM_E_VERIFY);
    ck_assert_uint_eq(good, SAMPLE_CHUNKS - 1);
    ck_assert_ptr_nonnull(strstr(err.why, "unit 2 is not signed by node"));
    ck_assert_ptr_nonnull(strstr(err.why, "4 of 5 signatures are good"));
    tm_package_close(&p);
    s.ledger.entries[4].sig.b[5] ^= 1;
    ck_assert_int_eq(sample_write(&s, path, &err), TM_OK);
    ck_assert_int_eq(tm_package_open(path, &p, &err), TM_OK);
    ck_assert_int_eq(tm_package_check_ledger(p, &good, &err), TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.why, "unit 2 is not signed by node"));
    ck_assert_ptr_nonnull(strstr(err.why, "3 of 5 signatures are good"));
    tm_package_close(&p);
}
END_TEST

/* Each read fails once: an error that names the file, never a package that is called good. */
START_TEST(test_read_failures)
{
    unsigned n = 0;
    tm_status status;
    bool failed;
    do {
        tm_os_fail_at(TM_OS_PREAD, ++n, EIO);
        status = check_whole();
        failed = tm_os_failed(TM_OS_PREAD);
        tm_os_fail_at(TM_OS_PREAD, 0, 0);
        ck_assert_int_eq(status, failed ? TM_E_IO : TM_OK);
        ck_assert(!failed || strstr(err.where, path) != NULL);
    } while (failed);
    ck_assert_uint_gt(n, 3 + SAMPLE_CHUNKS);
    tm_os_fail_at(TM_OS_PREAD, 1, EIO);
    ck_assert(!tm_package_is(path));
    tm_os_fail_at(TM_OS_PREAD, 0, 0);
}
END_TEST

START_TEST(test_writer_refuses)
{
    struct tm_package_writer *w;
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(tm_package_writer_begin(path, &s.meta, &w, &err), TM_OK);
    ck_assert_int_eq(tm_package_writer_chunk(w, tm_view_of(s.data[0], 99), &err), TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.why, "99 bytes with leaf"));
    ck_assert_int_eq(tm_package_writer_chunk(w, tm_view_of(s.data[3], 100), &err), TM_E_VERIFY);
    ck_assert_int_eq(tm_package_writer_chunk(w, tm_view_of(s.data[0], 100), &err), TM_OK);
    ck_assert_int_eq(tm_package_writer_finish(&w, &s.ledger, s.owner, &err), TM_E_VERIFY);
    ck_assert_str_eq(err.why, "1 of 5 chunks were written");
    ck_assert_ptr_null(w);
    struct tm_dir_list list;
    ck_assert_int_eq(tm_dir_list(dir, &list, &err), TM_OK);
    ck_assert_uint_eq(list.count, 0);
    tm_dir_list_free(&list);
    s.ledger.entries[1].node = 2;
    ck_assert_int_eq(sample_write(&s, path, &err), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "ledger entry 1 names node 2 of 2"));
    ck_assert(!tm_path_exists(path));
    s.meta.tensors[1].first_chunk = 1;
    ck_assert_int_eq(tm_package_writer_begin(path, &s.meta, &w, &err), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "tensor 1 has chunks 1 to +1, next is 2 of 5"));
}
END_TEST

START_TEST(test_empty_package)
{
    struct sample e;
    struct tm_package *p;
    sample_make(&e, SAMPLE_SEED);
    e.meta.chunk_count = e.ledger.entry_count = 0;
    tm_free(e.meta.tensors[0].name);
    tm_free(e.meta.tensors[1].name);
    tm_free(e.meta.attachments[0].name);
    e.meta.tensor_count = e.meta.attachment_count = 0;
    ck_assert_int_eq(sample_write(&e, path, &err), TM_OK);
    ck_assert_int_eq(tm_package_open(path, &p, &err), TM_OK);
    struct tm_digest nothing = tm_digest_of(tm_view_of("", 0));
    ck_assert(tm_digest_eq(tm_package_root(p), &nothing)); /* RFC 6962: the tree of no leaves */
    ck_assert_int_eq(tm_package_check(p, &err), TM_OK);
    tm_package_close(&p);
    sample_free(&e);
}
END_TEST

/* Chunks past 4 GiB: a sparse file with real ends and one real chunk behind 40 unwritten ones. */
START_TEST(test_past_4_gib)
{
    enum { BIG = 40 };
    struct sample b;
    struct tm_pkg_layout l;
    struct tm_buf front, back;
    struct tm_digest id;
    sample_make(&b, SAMPLE_SEED);
    uint32_t count = BIG + SAMPLE_CHUNKS;
    b.meta.chunks = tm_realloc_array(b.meta.chunks, count, sizeof *b.meta.chunks);
    b.ledger.entries = tm_realloc_array(b.ledger.entries, count, sizeof *b.ledger.entries);
    memmove(&b.meta.chunks[BIG], b.meta.chunks, SAMPLE_CHUNKS * sizeof *b.meta.chunks);
    for (uint32_t i = 0; i < count; i++) {
        b.ledger.entries[i] = b.ledger.entries[0];
        b.ledger.entries[i].chunk = i;
        if (i < BIG) {
            b.meta.chunks[i] = (struct tm_pkg_chunk){
                .bytes = TM_PACKAGE_CHUNK_MAX, .rows = 1, .cols = 1, .leaf = {{(uint8_t)i}}};
        }
    }
    b.meta.tensors[0].chunk_count += BIG;
    b.meta.tensors[0].dim[0] = 1;
    b.meta.tensors[0].dim[1] = 128 + BIG;
    b.meta.tensors[1].first_chunk += BIG;
    b.meta.attachments[0].first_chunk += BIG;
    b.meta.chunk_count = b.ledger.entry_count = count;
    tm_buf_init(&front, 1 << 20);
    tm_buf_init(&back, 1 << 20);
    ck_assert_int_eq(tm_pkg_front(&b.meta, path, &l, &front, &err), TM_OK);
    ck_assert_uint_gt(b.meta.chunks[BIG].offset, 5ull << 30);
    ck_assert_int_eq(tm_pkg_id(tm_buf_view(&front), &id), TM_OK);
    ck_assert_int_eq(tm_pkg_back(&l, &id, &b.ledger, count, b.owner, &back, &err), TM_OK);
    tm_pkg_header_write(&l, front.data);
    int fd = open(path, O_WRONLY | O_TRUNC);
    ck_assert_int_eq(pwrite(fd, front.data, front.bytes, 0), (ssize_t)front.bytes);
    for (uint32_t i = 0; i < SAMPLE_CHUNKS; i++) {
        ck_assert_int_eq(pwrite(fd, b.data[i], b.bytes[i], (off_t)b.meta.chunks[BIG + i].offset),
                         b.bytes[i]);
    }
    ck_assert_int_eq(pwrite(fd, back.data, back.bytes, (off_t)l.back_offset), (ssize_t)back.bytes);
    close(fd);
    struct tm_package *p;
    struct tm_buf chunk;
    tm_buf_init(&chunk, TM_PACKAGE_CHUNK_MAX);
    ck_assert_int_eq(tm_package_open(path, &p, &err), TM_OK);
    ck_assert_uint_gt(tm_package_bytes(p), 5ull << 30);
    ck_assert_int_eq(tm_package_chunk(p, count - 1, &chunk, &err), TM_OK);
    ck_assert(tm_view_eq(tm_buf_view(&chunk), tm_view_of(b.data[4], b.bytes[4])));
    ck_assert_int_eq(tm_package_check(p, &err), TM_E_VERIFY); /* the holes are not their leaves */
    tm_package_close(&p);
    tm_buf_deinit(&chunk);
    tm_buf_deinit(&front);
    tm_buf_deinit(&back);
    sample_free(&b);
}
END_TEST

START_TEST(test_memory_failures)
{
    size_t live = tm_mem_live_blocks();
    uint64_t n = 0;
    tm_status status;
    do {
        tm_mem_fail_at(++n);
        status = check_whole();
        bool failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    } while (status != TM_OK);
    ck_assert_uint_gt(n, 10);
    n = 0;
    do {
        tm_mem_fail_at(++n);
        status = sample_write(&s, path, &err);
        bool failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_int_eq(status, failed ? TM_E_NOMEM : TM_OK);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
    } while (status != TM_OK);
    ck_assert_uint_gt(n, 10);
}
END_TEST

START_TEST(test_open_refuses_other_files)
{
    struct tm_package *p;
    ck_assert_int_eq(tm_package_open(dir, &p, &err), TM_E_USAGE);
    put_file("GGUF and more", 13);
    ck_assert(!tm_package_is(path));
    ck_assert_int_eq(tm_package_open(path, &p, &err), TM_E_MALFORMED);
    ck_assert_ptr_nonnull(strstr(err.why, "the file ends inside the fixed header"));
    put_file(file.data, 8);
    ck_assert(tm_package_is(path));
    put_file(file.data, 7);
    ck_assert(!tm_package_is(path));
    put_file("GGUF", 4);
    ck_assert(!tm_package_is(path));
    ck_assert(!tm_package_is(dir));
    ck_assert_int_eq(tm_package_open(path, &p, &err), TM_E_MALFORMED);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(tm_package_open(path, &p, &err), TM_E_NOT_FOUND);
    ck_assert(!tm_package_is(path));
    ck_assert_ptr_null(p);
    tm_package_close(&p); /* of none */
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("package");
    TCase *tc = tcase_create("package");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_round_trip);
    tcase_add_test(tc, test_same_input_same_bytes);
    tcase_add_test(tc, test_id_without_ledger);
    tcase_add_test(tc, test_truncated_everywhere);
    tcase_add_test(tc, test_each_byte_flipped);
    tcase_add_test(tc, test_longer_than_declared);
    tcase_add_test(tc, test_damaged_chunk_names_place);
    tcase_add_test(tc, test_damaged_tail_is_named);
    tcase_add_test(tc, test_padding_is_checked);
    tcase_add_test(tc, test_parts);
    tcase_add_test(tc, test_bad_ledger_signature_is_named);
    tcase_add_test(tc, test_read_failures);
    tcase_add_test(tc, test_writer_refuses);
    tcase_add_test(tc, test_empty_package);
    tcase_add_test(tc, test_past_4_gib);
    tcase_add_test(tc, test_memory_failures);
    tcase_add_test(tc, test_open_refuses_other_files);
    suite_add_tcase(suite, tc);
    return suite;
}
