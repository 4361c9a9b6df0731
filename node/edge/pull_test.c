/* SPDX-License-Identifier: Apache-2.0 */
#include "node/edge/pull.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "package/release.h"
#include "tests/support/http_server.h"
#include "tests/support/package_sample.h"
#include "tests/support/suite.h"

static char dir[64], repo[96], store[96];
static struct tm_identity *publisher, *stranger;
static struct tm_public_key trusted[2]; /* the publisher; the owner of the sample packages */
static struct tm_device *device;
static struct tm_index index_now;
static struct tm_pull_report report;
static struct tm_err err;
static volatile int stop;

static void setup(void)
{
    memset(&err, 0, sizeof err);
    setenv("no_proxy", "127.0.0.1", 1);
    stop = 0;
    snprintf(dir, sizeof dir, "/tmp/tm-pull-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(repo, sizeof repo, "%s/repo", dir);
    snprintf(store, sizeof store, "%s/store", dir);
    publisher = sample_identity(71);
    stranger = sample_identity(72);
    struct tm_identity *owner = sample_identity(1);
    trusted[0] = *tm_identity_public(publisher);
    trusted[1] = *tm_identity_public(owner);
    tm_identity_destroy(&owner);
    tm_index_init(&index_now);
    ck_assert_int_eq(tm_device_open(store, true, &device, &err), TM_OK);
}

static void teardown(void)
{
    tm_device_close(&device);
    tm_index_deinit(&index_now);
    tm_identity_destroy(&publisher);
    tm_identity_destroy(&stranger);
    ck_assert_int_eq(tm_dir_remove_tree(dir, &err), TM_OK);
}

static void write_index(const struct tm_identity *by)
{
    char path[128];
    struct tm_buf text;
    tm_buf_init(&text, 1 << 20);
    snprintf(path, sizeof path, "%s/index.json", repo);
    ck_assert_int_eq(tm_index_write(&index_now, by, &text, &err), TM_OK);
    ck_assert_int_eq(tm_file_write_atomic(path, 0644, tm_buf_view(&text), &err), TM_OK);
    tm_buf_deinit(&text);
}

/* Puts the sample as next release of "smol" into the repository and frees it; its path to path. */
static void publish_sample(struct sample *sample, char path[256])
{
    struct tm_package *package = NULL;
    char temporary[128], hex[TM_DIGEST_TEXT];
    snprintf(path, 256, "%s/packages", repo);
    ck_assert_int_eq(tm_dir_make(path, 0755, &err), TM_OK);
    snprintf(temporary, sizeof temporary, "%s/new.tmpk", dir);
    ck_assert_int_eq(sample_write(sample, temporary, &err), TM_OK);
    ck_assert_int_eq(tm_package_open(temporary, &package, &err), TM_OK);
    ck_assert_int_eq(tm_index_add(&index_now, "smol", tm_package_id(package),
                                  tm_package_bytes(package), "", &err),
                     TM_OK);
    snprintf(path, 256, "%s/packages/%s.tmpk", repo, tm_digest_hex(tm_package_id(package), hex));
    tm_package_close(&package);
    ck_assert_int_eq(rename(temporary, path), 0);
    sample_free(sample);
    write_index(publisher);
}

static void publish(const uint8_t seed[SAMPLE_CHUNKS], char path[256])
{
    struct sample sample;
    sample_make(&sample, seed);
    publish_sample(&sample, path);
}

static tm_status pull_from(const char *location)
{
    struct tm_pull_options options = {
        .device = device,
        .location = location,
        .name = "smol",
        .trusted = trusted,
        .trusted_count = 2,
        .quiet = true,
        .stop = &stop,
    };
    memset(&err, 0, sizeof err);
    return tm_pull(&options, &report, &err);
}

static void pull_ok(const char *location)
{
    char line[1600];
    tm_status status = pull_from(location);
    ck_assert_msg(status == TM_OK, "%s", tm_err_line(&err, line, sizeof line));
}

static uint64_t installed(void)
{
    struct tm_installed model = {0};
    return tm_device_find(device, "smol", &model, NULL) == TM_OK ? model.current : 0;
}

static const uint8_t first[SAMPLE_CHUNKS] = {1, 2, 3, 4, 5};
static const uint8_t second[SAMPLE_CHUNKS] = {1, 2, 3, 9, 5}; /* one chunk of 200 bytes changed */

START_TEST(a_first_pull_and_one_that_fetches_only_what_changed)
{
    char path[256];
    publish(first, path);
    pull_ok(repo);
    ck_assert_uint_eq(report.release, 1);
    ck_assert_uint_eq(report.previous, 0);
    ck_assert_uint_eq(report.chunks_fetched, SAMPLE_CHUNKS);
    ck_assert_int_eq(pull_from(repo), TM_E_NOTHING);
    publish(second, path);
    pull_ok(repo);
    ck_assert_uint_eq(report.release, 2);
    ck_assert_uint_eq(report.previous, 1);
    ck_assert_uint_eq(report.chunks_fetched, 1);
    ck_assert_uint_eq(installed(), 2);
    char model[TM_PATH_MAX];
    struct tm_package *package = NULL;
    ck_assert_int_eq(tm_device_path(device, "smol", 2, model), TM_OK);
    ck_assert_int_eq(tm_package_open(model, &package, &err), TM_OK);
    ck_assert_int_eq(tm_package_check(package, &err), TM_OK);
    tm_package_close(&package);
}
END_TEST

START_TEST(over_http_even_without_range)
{
    static const enum http_fault faults[] = {HTTP_GOOD, HTTP_IGNORE_RANGE, HTTP_CUT_ONCE};
    struct http_server server;
    char path[256];
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        publish(i % 2 == 0 ? first : second, path);
        http_start(&server, repo, faults[i]);
        pull_ok(server.url);
        ck_assert_uint_le(atomic_load(&server.requests), 6);
        http_stop(&server);
        ck_assert_uint_eq(installed(), i + 1);
    }
}
END_TEST

/* Chunks 0, 2 and 4 are missing: three ranges, or one walk through the whole file. */
START_TEST(chunks_with_gaps_between)
{
    static const uint8_t third[SAMPLE_CHUNKS] = {7, 2, 7, 4, 7};
    static const enum http_fault faults[] = {HTTP_GOOD, HTTP_IGNORE_RANGE};
    static const unsigned requests[] = {1 + 3 + 3, 1 + 3 + 1};
    for (size_t i = 0; i < 2; i++) {
        struct http_server server;
        char path[256];
        publish(first, path);
        pull_ok(repo);
        publish(third, path);
        http_start(&server, repo, faults[i]);
        pull_ok(server.url);
        ck_assert_uint_eq(report.chunks_fetched, 3);
        ck_assert_uint_eq(atomic_load(&server.requests), requests[i]);
        http_stop(&server);
        ck_assert_uint_eq(installed(), 2 + 2 * i);
        ck_assert_int_eq(tm_device_remove(device, "smol", &err), TM_OK);
    }
}
END_TEST

START_TEST(a_web_page_is_no_index)
{
    struct http_server server;
    char path[256];
    publish(first, path);
    http_start(&server, repo, HTTP_WEB_PAGE);
    ck_assert_int_eq(pull_from(server.url), TM_E_MALFORMED);
    http_stop(&server);
    ck_assert_uint_eq(installed(), 0);
}
END_TEST

START_TEST(unknown_keys_are_refused)
{
    char path[256];
    publish(first, path);
    write_index(stranger);
    ck_assert_int_eq(pull_from(repo), TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.hint, "trust add"));
    ck_assert_uint_eq(installed(), 0);
}
END_TEST

START_TEST(an_older_index_is_refused)
{
    char path[256], kept[128], now[128];
    publish(first, path);
    snprintf(now, sizeof now, "%s/index.json", repo);
    snprintf(kept, sizeof kept, "%s/index.old", dir);
    struct tm_buf old;
    tm_buf_init(&old, 1 << 20);
    ck_assert_int_eq(tm_file_read(now, &old, &err), TM_OK);
    publish(second, path);
    pull_ok(repo);
    ck_assert_int_eq(tm_file_write_atomic(now, 0644, tm_buf_view(&old), &err), TM_OK);
    ck_assert_int_eq(pull_from(repo), TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.what, "older"));
    ck_assert_uint_eq(installed(), 2);
    tm_buf_deinit(&old);
}
END_TEST

START_TEST(an_older_release_is_refused)
{
    char path[256];
    publish(first, path);
    publish(second, path);
    pull_ok(repo);
    /* The same publisher signs a new index that ends at release 1. */
    struct tm_digest id = index_now.releases[0].package_id;
    uint64_t bytes = index_now.releases[0].bytes;
    tm_index_deinit(&index_now);
    tm_index_init(&index_now);
    ck_assert_int_eq(tm_index_add(&index_now, "smol", &id, bytes, "", &err), TM_OK);
    index_now.version = 9;
    write_index(publisher);
    ck_assert_int_eq(pull_from(repo), TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.what, "older"));
    ck_assert_uint_eq(installed(), 2);
}
END_TEST

START_TEST(no_such_model)
{
    char path[256];
    publish(first, path);
    struct tm_pull_options options = {.device = device,
                                      .location = repo,
                                      .name = "other",
                                      .trusted = trusted,
                                      .trusted_count = 2,
                                      .quiet = true};
    ck_assert_int_eq(tm_pull(&options, &report, &err), TM_E_NOT_FOUND);
    ck_assert_str_eq(err.where, "other");
}
END_TEST

static void flip(const char *path, long offset)
{
    FILE *f = fopen(path, "r+b");
    ck_assert_ptr_nonnull(f);
    fseek(f, offset, SEEK_SET);
    int c = fgetc(f);
    fseek(f, offset, SEEK_SET);
    fputc(c ^ 0x10, f);
    fclose(f);
}

/* Each byte of the file matters somewhere: in the front, in a chunk, in ledger or tail. Padding is
 * written anew by the device, so a flip there does no harm and is not taken over. */
START_TEST(a_damaged_package_is_never_installed)
{
    char path[256];
    struct tm_file_in *file = NULL;
    publish(first, path);
    ck_assert_int_eq(tm_file_open(path, &file, &err), TM_OK);
    uint64_t bytes = tm_file_bytes(file);
    tm_file_close(&file);
    unsigned refused = 0;
    for (uint64_t at = 0; at < bytes; at += 37) {
        flip(path, (long)at);
        tm_status status = pull_from(repo);
        flip(path, (long)at);
        if (status == TM_OK) {
            struct tm_package *package = NULL;
            char model[TM_PATH_MAX];
            ck_assert_int_eq(tm_device_path(device, "smol", 1, model), TM_OK);
            ck_assert_int_eq(tm_package_open(model, &package, &err), TM_OK);
            ck_assert_int_eq(tm_package_check(package, &err), TM_OK);
            tm_package_close(&package);
            break; /* installed whole from here on */
        }
        ck_assert_msg(tm_status_exit_code(status) == 4, "byte %llu: %s", (unsigned long long)at,
                      tm_status_name(status));
        ck_assert_uint_eq(installed(), 0);
        refused++;
    }
    ck_assert_uint_gt(refused, 10);
}
END_TEST

static uint64_t chunk_offset(const char *path, uint32_t chunk)
{
    struct tm_package *package = NULL;
    ck_assert_int_eq(tm_package_open(path, &package, &err), TM_OK);
    uint64_t offset = tm_package_meta(package)->chunks[chunk].offset;
    tm_package_close(&package);
    return offset;
}

/* The last chunk is bad: what came before it is kept and not fetched again. */
START_TEST(a_pull_goes_on_where_it_ended)
{
    char path[256];
    publish(first, path);
    long at = (long)chunk_offset(path, SAMPLE_CHUNKS - 1);
    flip(path, at);
    ck_assert_int_eq(pull_from(repo), TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.why, "chunk 4 at byte"));
    ck_assert_uint_eq(report.chunks_fetched, SAMPLE_CHUNKS - 1);
    ck_assert_uint_eq(installed(), 0);
    flip(path, at);
    pull_ok(repo);
    ck_assert_uint_eq(report.chunks_fetched, 1);
    ck_assert_uint_eq(installed(), 1);
}
END_TEST

START_TEST(a_pull_stops_when_asked)
{
    char path[256];
    publish(first, path);
    stop = 1;
    ck_assert_int_eq(pull_from(repo), TM_E_STOPPED);
    ck_assert_ptr_nonnull(strstr(err.hint, "kept"));
    ck_assert_uint_eq(installed(), 0);
    stop = 0;
    pull_ok(repo);
}
END_TEST

START_TEST(equal_chunks_come_once)
{
    struct sample sample = {.owner = sample_identity(1)};
    char path[256];
    sample.node[0] = sample_identity(2);
    sample.node[1] = sample_identity(3);
    sample_tables(&sample);
    sample_chunks(&sample, first);
    memcpy(sample.data[1], sample.data[0], sizeof sample.data[0]);
    sample.bytes[1] = sample.bytes[0];
    struct tm_pkg_chunk *twin = &sample.meta.chunks[1];
    twin->bytes = sample.meta.chunks[0].bytes;
    twin->leaf = sample.meta.chunks[0].leaf;
    twin->source = sample.meta.chunks[0].source;
    sample_ledger(&sample);
    publish_sample(&sample, path);
    pull_ok(repo);
    ck_assert_uint_eq(report.chunks, SAMPLE_CHUNKS);
    ck_assert_uint_eq(report.chunks_fetched, SAMPLE_CHUNKS - 1);
    ck_assert_uint_eq(installed(), 1);
}
END_TEST

/* A mirror may sign the ledger anew: the id of the package stays, its owner does not. */
START_TEST(an_owner_that_is_not_trusted_is_refused)
{
    char path[256], id[TM_NODE_ID_TEXT];
    struct tm_node_id node = tm_node_id_of(&trusted[1]);
    publish(first, path);
    trusted[1] = trusted[0];
    ck_assert_int_eq(pull_from(repo), TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.why, tm_node_id_hex(&node, id)));
    ck_assert_ptr_nonnull(strstr(err.hint, "trust add"));
    ck_assert_uint_eq(report.chunks_fetched, 0);
    ck_assert_uint_eq(installed(), 0);
}
END_TEST

START_TEST(another_package_than_the_index_names_is_refused)
{
    char path[256], other[256];
    publish(first, path);
    publish(second, other);
    ck_assert_int_eq(rename(path, other), 0);
    ck_assert_int_eq(pull_from(repo), TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.why, "package id"));
    ck_assert_uint_eq(report.chunks_fetched, 0);
    ck_assert_uint_eq(installed(), 0);
}
END_TEST

/* An index that was seen counts, also when there was nothing to fetch. */
START_TEST(what_was_seen_is_the_floor)
{
    char path[256];
    publish(first, path);
    pull_ok(repo);
    index_now.version = 5;
    write_index(publisher);
    ck_assert_int_eq(pull_from(repo), TM_E_NOTHING);
    index_now.version = 4;
    write_index(publisher);
    ck_assert_int_eq(pull_from(repo), TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.why, "version 4, this device has seen 5"));
}
END_TEST

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

START_TEST(a_full_disk_leaves_the_old_release)
{
    char path[256];
    publish(first, path);
    pull_ok(repo);
    publish(second, path);
    signal(SIGXFSZ, SIG_IGN);
    limit_files(250); /* chunks fit, the package does not */
    ck_assert_int_eq(pull_from(repo), TM_E_IO);
    limit_files(RLIM_INFINITY);
    ck_assert_uint_eq(report.chunks_fetched, 1);
    ck_assert_uint_eq(installed(), 1);
    pull_ok(repo);
    ck_assert_uint_eq(report.chunks_fetched, 0);
    ck_assert_uint_eq(installed(), 2);
}
END_TEST

START_TEST(memory_may_run_out_anywhere)
{
    char path[256];
    bool failed = true;
    publish(first, path);
    tm_device_close(&device);
    size_t before = tm_mem_live_blocks();
    for (uint64_t n = 1; failed; n++) {
        ck_assert_int_eq(tm_device_open(store, true, &device, &err), TM_OK);
        tm_mem_fail_at(n);
        tm_status status = pull_from(repo);
        failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert(status != TM_OK || installed() == 1);
        if (installed() == 1) { /* or it failed when tidying up after the commit */
            ck_assert_int_eq(tm_device_remove(device, "smol", &err), TM_OK);
        }
        tm_device_close(&device);
        ck_assert_msg(tm_mem_live_blocks() == before, "a leak when allocation %llu fails",
                      (unsigned long long)n);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("pull");
    TCase *tc = tcase_create("pull");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_first_pull_and_one_that_fetches_only_what_changed);
    tcase_add_test(tc, over_http_even_without_range);
    tcase_add_test(tc, chunks_with_gaps_between);
    tcase_add_test(tc, a_web_page_is_no_index);
    tcase_add_test(tc, unknown_keys_are_refused);
    tcase_add_test(tc, an_older_index_is_refused);
    tcase_add_test(tc, an_older_release_is_refused);
    tcase_add_test(tc, no_such_model);
    tcase_add_test(tc, a_damaged_package_is_never_installed);
    tcase_add_test(tc, a_pull_goes_on_where_it_ended);
    tcase_add_test(tc, a_pull_stops_when_asked);
    tcase_add_test(tc, equal_chunks_come_once);
    tcase_add_test(tc, an_owner_that_is_not_trusted_is_refused);
    tcase_add_test(tc, another_package_than_the_index_names_is_refused);
    tcase_add_test(tc, what_was_seen_is_the_floor);
    tcase_add_test(tc, a_full_disk_leaves_the_old_release);
    tcase_add_test(tc, memory_may_run_out_anywhere);
    suite_add_tcase(suite, tc);
    return suite;
}
