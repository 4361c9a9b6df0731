/* SPDX-License-Identifier: Apache-2.0
 * Installing on a device: versions, floors, rollback, repair, and kills at every system call. */
#include "package/install.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "package/package_tables.h"
#include "tests/support/package_sample.h"
#include "tests/support/suite.h"

static char dir[64], root[96];
static struct tm_err err;
static struct tm_device *device;

/* A package made for the tests, cut into what a device fetches. */
struct made {
    struct sample s;
    struct tm_buf file;
    struct tm_pkg_layout layout;
    struct tm_digest id;
};

static void make(struct made *m, const uint8_t seed[SAMPLE_CHUNKS])
{
    char path[96];
    snprintf(path, sizeof path, "%s/made.tmpk", dir);
    sample_make(&m->s, seed);
    ck_assert_int_eq(sample_write(&m->s, path, &err), TM_OK);
    tm_buf_init(&m->file, 1 << 20);
    ck_assert_int_eq(tm_file_read(path, &m->file, &err), TM_OK);
    ck_assert_int_eq(tm_pkg_layout_parse(tm_view_of(m->file.data, 128), &m->layout, &err), TM_OK);
    ck_assert_int_eq(tm_pkg_id(tm_view_of(m->file.data, m->layout.front_bytes), &m->id), TM_OK);
}

static void unmake(struct made *m)
{
    tm_buf_deinit(&m->file);
    sample_free(&m->s);
}

static struct made v1, v2, v3;

static void setup(void)
{
    static const uint8_t second[SAMPLE_CHUNKS] = {1, 2, 1, 1, 1};
    static const uint8_t third[SAMPLE_CHUNKS] = {1, 2, 1, 3, 1};
    /* In memory where that is possible: kills are of the process, and each test syncs a lot. */
    snprintf(dir, sizeof dir, "%s/install_test-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(root, sizeof root, "%s/device", dir);
    make(&v1, SAMPLE_SEED);
    make(&v2, second);
    make(&v3, third);
    ck_assert_int_eq(tm_device_open(root, true, &device, &err), TM_OK);
}

static void teardown(void)
{
    tm_device_close(&device);
    unmake(&v1);
    unmake(&v2);
    unmake(&v3);
    ck_assert_int_eq(tm_dir_remove_tree(dir, &err), TM_OK);
}

static struct tm_install_request request_of(const struct made *m, uint64_t counter)
{
    return (struct tm_install_request){.name = "m",
                                       .counter = counter,
                                       .front = tm_view_of(m->file.data, m->layout.front_bytes),
                                       .back = tm_view_of(m->file.data + m->layout.back_offset,
                                                          m->file.bytes - m->layout.back_offset),
                                       .package_id = &m->id,
                                       .owner = tm_identity_public(m->s.owner)};
}

/* Puts the chunks that the device has not; returns how many. */
static int fetch(struct tm_device *d, const struct made *m)
{
    int fetched = 0;
    struct tm_buf out;
    tm_buf_init(&out, 4096);
    for (uint32_t i = 0; i < SAMPLE_CHUNKS; i++) {
        const struct tm_digest *leaf = &m->s.meta.chunks[i].leaf;
        tm_buf_clear(&out);
        tm_status status = tm_device_find_chunk(d, leaf, &out, &err);
        if (status == TM_E_NOT_FOUND) {
            status = tm_store_put(tm_device_chunks(d), leaf,
                                  tm_view_of(m->s.data[i], m->s.bytes[i]), &err);
            fetched++;
        }
        ck_assert_int_eq(status, TM_OK);
    }
    tm_buf_deinit(&out);
    return fetched;
}

static tm_status install(struct tm_device *d, const struct made *m, uint64_t counter)
{
    struct tm_install_request r = request_of(m, counter);
    return tm_device_install(d, &r, &err);
}

static struct tm_installed state(void)
{
    struct tm_installed m;
    ck_assert_int_eq(tm_device_find(device, "m", &m, &err), TM_OK);
    return m;
}

/* The package of a generation has exactly the bytes of the one that was made. */
static void check_bytes(uint64_t counter, const struct made *m)
{
    char path[TM_PATH_MAX];
    struct tm_buf bytes;
    tm_buf_init(&bytes, 1 << 20);
    ck_assert_int_eq(tm_device_path(device, "m", counter, path), TM_OK);
    ck_assert_int_eq(tm_file_read(path, &bytes, &err), TM_OK);
    ck_assert(tm_view_eq(tm_buf_view(&bytes), tm_buf_view(&m->file)));
    tm_buf_deinit(&bytes);
}

static bool generation_exists(uint64_t counter)
{
    char path[TM_PATH_MAX];
    ck_assert_int_eq(tm_device_path(device, "m", counter, path), TM_OK);
    return tm_path_exists(path);
}

START_TEST(test_versions_share_chunks)
{
    struct tm_installed *list;
    size_t count;
    ck_assert_int_eq(tm_device_list(device, &list, &count, &err), TM_OK);
    ck_assert_uint_eq(count, 0);
    tm_free(list);
    ck_assert_int_eq(tm_device_find(device, "m", &(struct tm_installed){0}, &err), TM_E_NOT_FOUND);

    ck_assert_int_eq(fetch(device, &v1), 5);
    ck_assert_int_eq(install(device, &v1, 1), TM_OK);
    check_bytes(1, &v1);
    ck_assert_uint_eq(tm_store_bytes(tm_device_chunks(device)), 0); /* used objects are gone */
    ck_assert_int_eq(fetch(device, &v2), 1);                        /* only what changed */
    ck_assert_int_eq(install(device, &v2, 2), TM_OK);
    check_bytes(2, &v2);
    check_bytes(1, &v1);
    ck_assert_int_eq(fetch(device, &v3), 1);
    ck_assert_int_eq(install(device, &v3, 5), TM_OK);
    check_bytes(5, &v3);
    ck_assert(!generation_exists(1));
    struct tm_installed m = state();
    ck_assert_uint_eq(m.current, 5);
    ck_assert_uint_eq(m.previous, 2);
    ck_assert_uint_eq(m.floor, 5);
    ck_assert_int_eq(tm_device_list(device, &list, &count, &err), TM_OK);
    ck_assert_uint_eq(count, 1);
    ck_assert_str_eq(list[0].name, "m");
    tm_free(list);
}
END_TEST

START_TEST(test_older_is_refused_and_rollback_keeps_the_floor)
{
    fetch(device, &v1);
    ck_assert_int_eq(install(device, &v1, 3), TM_OK);
    ck_assert_int_eq(tm_device_rollback(device, "m", &err), TM_E_NOTHING);
    fetch(device, &v2);
    ck_assert_int_eq(install(device, &v2, 2), TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.why, "release 2 is older than 3"));
    ck_assert_int_eq(install(device, &v2, 0), TM_E_VERIFY);
    ck_assert_int_eq(install(device, &v2, 4), TM_OK);
    ck_assert_int_eq(tm_device_rollback(device, "m", &err), TM_OK);
    struct tm_installed m = state();
    ck_assert_uint_eq(m.current, 3);
    ck_assert_uint_eq(m.previous, 0);
    ck_assert_uint_eq(m.floor, 4);
    ck_assert_int_eq(install(device, &v1, 3), TM_E_VERIFY);
    /* Forward again without a byte to fetch, then one further: 3 stays for rollback, 4 goes. */
    ck_assert_int_eq(install(device, &v2, 4), TM_OK);
    ck_assert_uint_eq(state().current, 4);
    ck_assert_uint_eq(state().previous, 3);
    ck_assert_int_eq(tm_device_rollback(device, "m", &err), TM_OK);
    fetch(device, &v3);
    ck_assert_int_eq(install(device, &v3, 5), TM_OK);
    ck_assert_uint_eq(state().previous, 3);
    ck_assert(!generation_exists(4));
}
END_TEST

START_TEST(test_same_release_again)
{
    fetch(device, &v1);
    ck_assert_int_eq(install(device, &v1, 1), TM_OK);
    ck_assert_int_eq(install(device, &v1, 1), TM_OK);
    ck_assert_int_eq(fetch(device, &v2), 1);
    ck_assert_int_eq(install(device, &v2, 1), TM_E_VERIFY);
    ck_assert_ptr_nonnull(strstr(err.why, "release 1 is here as"));
    check_bytes(1, &v1);
}
END_TEST

START_TEST(test_repair_of_a_rotten_package)
{
    char path[TM_PATH_MAX];
    fetch(device, &v1);
    ck_assert_int_eq(install(device, &v1, 1), TM_OK);
    ck_assert_int_eq(tm_device_path(device, "m", 1, path), TM_OK);
    int fd = open(path, O_WRONLY);
    ck_assert_int_eq(pwrite(fd, "rot", 3, (off_t)v1.s.meta.chunks[3].offset), 3);
    close(fd);
    ck_assert_int_eq(install(device, &v1, 1), TM_E_NOT_FOUND); /* the rotten chunk is missing */
    ck_assert_ptr_nonnull(strstr(err.why, "is not on the device"));
    ck_assert(generation_exists(1));
    ck_assert_int_eq(fetch(device, &v1), 1);
    ck_assert_int_eq(install(device, &v1, 1), TM_OK);
    check_bytes(1, &v1);
}
END_TEST

START_TEST(test_refusals)
{
    struct tm_device *second;
    struct tm_install_request r = request_of(&v1, 1);
    ck_assert_int_eq(tm_device_open(root, true, &second, &err), TM_E_REFUSED);
    ck_assert_str_eq(err.why, "another process is changing it");
    ck_assert_int_eq(tm_device_open(root, false, &second, &err), TM_OK);
    ck_assert_int_eq(tm_device_install(second, &r, &err), TM_E_REFUSED);
    ck_assert_int_eq(tm_device_rollback(second, "m", &err), TM_E_REFUSED);
    ck_assert_int_eq(tm_device_remove(second, "m", &err), TM_E_REFUSED);
    tm_device_close(&second);
    ck_assert_int_eq(tm_device_install(device, &r, &err), TM_E_NOT_FOUND); /* nothing fetched */
    ck_assert(!generation_exists(1));
    r.name = "../m";
    ck_assert_int_eq(tm_device_install(device, &r, &err), TM_E_USAGE);
    r = request_of(&v1, 1);
    r.package_id = &v2.id;
    ck_assert_int_eq(tm_device_install(device, &r, &err), TM_E_VERIFY);
    r = request_of(&v1, 1);
    r.owner = tm_identity_public(v1.s.node[0]);
    ck_assert_int_eq(tm_device_install(device, &r, &err), TM_E_VERIFY);
    ck_assert_int_eq(tm_device_find(device, "m", &(struct tm_installed){0}, &err), TM_E_NOT_FOUND);
}
END_TEST

/* A package of five tebibytes by its tables: refused before a byte is written. */
START_TEST(test_no_space)
{
    enum { COUNT = 40960 };
    struct sample b;
    struct tm_pkg_layout l;
    struct tm_buf front, back;
    struct tm_digest id;
    sample_make(&b, SAMPLE_SEED);
    b.meta.chunks = tm_realloc_array(b.meta.chunks, COUNT, sizeof *b.meta.chunks);
    b.ledger.entries = tm_realloc_array(b.ledger.entries, COUNT, sizeof *b.ledger.entries);
    for (uint32_t i = 0; i < COUNT; i++) {
        b.meta.chunks[i] = (struct tm_pkg_chunk){
            .bytes = TM_PACKAGE_CHUNK_MAX, .rows = 1, .cols = 1, .leaf = {{(uint8_t)i}}};
        b.ledger.entries[i] = b.ledger.entries[0];
        b.ledger.entries[i].chunk = i;
    }
    tm_free(b.meta.attachments[0].name);
    tm_free(b.meta.tensors[1].name);
    b.meta.attachment_count = 0;
    b.meta.tensor_count = 1;
    b.meta.tensors[0].chunk_count = COUNT;
    b.meta.tensors[0].source_bytes = COUNT;
    b.meta.chunk_count = b.ledger.entry_count = COUNT;
    tm_buf_init(&front, 16 << 20);
    tm_buf_init(&back, 16 << 20);
    ck_assert_int_eq(tm_pkg_front(&b.meta, "big", &l, &front, &err), TM_OK);
    ck_assert_int_eq(tm_pkg_id(tm_buf_view(&front), &id), TM_OK);
    ck_assert_int_eq(tm_pkg_back(&l, &id, &b.ledger, COUNT, b.owner, &back, &err), TM_OK);
    tm_pkg_header_write(&l, front.data);
    struct tm_install_request r = {
        .name = "big", .counter = 1, .front = tm_buf_view(&front), .back = tm_buf_view(&back)};
    ck_assert_int_eq(tm_device_install(device, &r, &err), TM_E_REFUSED);
    char figure[32];
    snprintf(figure, sizeof figure, "needs %llu bytes", (unsigned long long)l.file_bytes);
    ck_assert_ptr_nonnull(strstr(err.why, figure));
    ck_assert_ptr_nonnull(strstr(err.why, "are free"));
    char path[160];
    snprintf(path, sizeof path, "%s/models/big", root);
    ck_assert(!tm_path_exists(path));
    tm_buf_deinit(&front);
    tm_buf_deinit(&back);
    sample_free(&b);
}
END_TEST

START_TEST(test_remove_keeps_the_floor)
{
    fetch(device, &v1);
    ck_assert_int_eq(install(device, &v1, 7), TM_OK);
    ck_assert_int_eq(tm_device_remove(device, "m", &err), TM_OK);
    ck_assert_int_eq(tm_device_remove(device, "m", &err), TM_E_NOT_FOUND);
    ck_assert(!generation_exists(7));
    ck_assert_int_eq(fetch(device, &v1), 5);
    ck_assert_int_eq(install(device, &v1, 6), TM_E_VERIFY);
    ck_assert_int_eq(install(device, &v1, 7), TM_OK);
}
END_TEST

START_TEST(test_index_floor)
{
    const struct tm_public_key *a = tm_identity_public(v1.s.owner);
    const struct tm_public_key *b = tm_identity_public(v1.s.node[0]);
    uint64_t floor = 9;
    ck_assert_int_eq(tm_device_index_floor(device, a, &floor, &err), TM_OK);
    ck_assert_uint_eq(floor, 0);
    ck_assert_int_eq(tm_device_raise_index_floor(device, a, 5, &err), TM_OK);
    ck_assert_int_eq(tm_device_raise_index_floor(device, a, 4, &err), TM_OK);
    ck_assert_int_eq(tm_device_index_floor(device, a, &floor, &err), TM_OK);
    ck_assert_uint_eq(floor, 5);
    ck_assert_int_eq(tm_device_index_floor(device, b, &floor, &err), TM_OK);
    ck_assert_uint_eq(floor, 0);
}
END_TEST

#define LONG_NUMBER                                                                                \
    "11111111111111111111111111111111111111111111111111111111111111111111111111111111\n"

START_TEST(test_damaged_state_is_named)
{
    static const char *const texts[] = {"",     "\n",    "0\n",  "1",        "x\n",
                                        "-1\n", "1\n\n", "01\n", LONG_NUMBER};
    char path[160];
    fetch(device, &v1);
    ck_assert_int_eq(install(device, &v1, 1), TM_OK);
    snprintf(path, sizeof path, "%s/models/m/current", root);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct tm_installed m;
        ck_assert_int_eq(tm_file_write_atomic(path, 0644, tm_view_str(texts[i]), &err), TM_OK);
        ck_assert_int_eq(tm_device_find(device, "m", &m, &err), TM_E_MALFORMED);
        ck_assert_ptr_nonnull(strstr(err.where, path));
    }
}
END_TEST

START_TEST(test_memory_failures)
{
    size_t live;
    uint64_t n = 0;
    tm_status status;
    tm_device_close(&device);
    live = tm_mem_live_blocks();
    do {
        struct tm_device *d = NULL;
        ck_assert_int_eq(tm_dir_remove_tree(root, &err), TM_OK);
        tm_mem_fail_at(++n);
        status = tm_device_open(root, true, &d, &err);
        if (status == TM_OK) {
            for (uint32_t i = 0; i < SAMPLE_CHUNKS && status == TM_OK; i++) {
                status = tm_store_put(tm_device_chunks(d), &v1.s.meta.chunks[i].leaf,
                                      tm_view_of(v1.s.data[i], v1.s.bytes[i]), &err);
            }
            if (status == TM_OK) {
                status = install(d, &v1, 1);
            }
        }
        bool failed = tm_mem_failed();
        tm_mem_fail_at(0);
        ck_assert_msg(status == TM_OK || (failed && status != TM_E_INTERNAL), "%lu: %s",
                      (unsigned long)n, tm_status_name(status));
        tm_device_close(&d);
        ck_assert_uint_eq(tm_mem_live_blocks(), live);
        if (!failed) {
            break;
        }
    } while (n < 2000);
    ck_assert_int_eq(status, TM_OK);
    ck_assert_uint_gt(n, 30);
}
END_TEST

/* ---- crashes ---- */

/* In a child: fetches and installs v2 as release 2. */
static void child_update(void)
{
    struct tm_device *d;
    if (tm_device_open(root, true, &d, &err) != TM_OK) {
        _exit(2);
    }
    for (uint32_t i = 0; i < SAMPLE_CHUNKS; i++) {
        if (tm_store_put(tm_device_chunks(d), &v2.s.meta.chunks[i].leaf,
                         tm_view_of(v2.s.data[i], v2.s.bytes[i]), &err) != TM_OK) {
            _exit(3);
        }
    }
    _exit(install(d, &v2, 2) == TM_OK ? 0 : 4);
}

/* A fresh device with release 1. */
static void fresh_device(void)
{
    tm_device_close(&device);
    ck_assert_int_eq(tm_dir_remove_tree(root, &err), TM_OK);
    ck_assert_int_eq(tm_device_open(root, true, &device, &err), TM_OK);
    fetch(device, &v1);
    ck_assert_int_eq(install(device, &v1, 1), TM_OK);
    tm_device_close(&device);
}

/* Old or new, whole; and the same update then goes through and leaves nothing behind. */
static void check_after_crash(void)
{
    struct tm_dir_list list;
    char path[160];
    ck_assert_int_eq(tm_device_open(root, false, &device, &err), TM_OK);
    struct tm_installed m = state();
    ck_assert(m.current == 1 || m.current == 2);
    ck_assert_uint_eq(m.floor, m.current);
    check_bytes(m.current, m.current == 1 ? &v1 : &v2);
    tm_device_close(&device);
    ck_assert_int_eq(tm_device_open(root, true, &device, &err), TM_OK);
    fetch(device, &v2);
    ck_assert_int_eq(install(device, &v2, 2), TM_OK);
    ck_assert_uint_eq(state().current, 2);
    ck_assert_uint_eq(state().previous, 1);
    check_bytes(2, &v2);
    check_bytes(1, &v1);
    snprintf(path, sizeof path, "%s/models/m", root);
    ck_assert_int_eq(tm_dir_list(path, &list, &err), TM_OK);
    ck_assert_uint_eq(list.count, 4); /* 1 2 current floor */
    tm_dir_list_free(&list);
    snprintf(path, sizeof path, "%s/objects/tmp", root);
    ck_assert_int_eq(tm_dir_list(path, &list, &err), TM_OK);
    ck_assert_uint_eq(list.count, 0);
    tm_dir_list_free(&list);
}

/* An install that was cut short after its commit leaves chunks that the package holds. */
START_TEST(test_needless_objects_are_removed)
{
    char path[TM_PATH_MAX], hex[TM_DIGEST_TEXT];
    fetch(device, &v1);
    ck_assert_int_eq(install(device, &v1, 1), TM_OK);
    for (uint32_t i = 0; i < SAMPLE_CHUNKS; i++) {
        ck_assert_int_eq(tm_store_put(tm_device_chunks(device), &v1.s.meta.chunks[i].leaf,
                                      tm_view_of(v1.s.data[i], v1.s.bytes[i]), &err),
                         TM_OK);
    }
    int wanted = fetch(device, &v2); /* of an update that goes on later */
    ck_assert_int_gt(wanted, 0);
    tm_digest_hex(&v1.s.meta.chunks[0].leaf, hex);
    snprintf(path, sizeof path, "%s/objects/%.2s/%s", root, hex, hex);
    tm_device_close(&device);
    ck_assert_int_eq(truncate(path, 0), 0); /* by a power cut */
    ck_assert_int_eq(tm_device_open(root, true, &device, &err), TM_OK);
    ck_assert_uint_eq(tm_store_count(tm_device_chunks(device)), (uint64_t)wanted);
    ck_assert_int_eq(fetch(device, &v2), 0);
    ck_assert_int_eq(install(device, &v2, 2), TM_OK);
    ck_assert_uint_eq(tm_store_count(tm_device_chunks(device)), 0);
}
END_TEST

#define NO_TRACER 99

/* Runs the update and kills it at its k-th stop at a system call; true when it ended before. */
static bool killed_at(int k)
{
    int status;
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
            _exit(NO_TRACER);
        }
        raise(SIGSTOP);
        child_update();
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    for (int i = 0; WIFSTOPPED(status) && i < k; i++) {
        ck_assert_int_eq(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    }
    if (WIFEXITED(status)) {
        ck_assert(WEXITSTATUS(status) == 0 || (WEXITSTATUS(status) == NO_TRACER && k == 1));
        return true;
    }
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return false;
}

/* Every stop: before and after each system call. */
START_TEST(test_killed_at_every_call)
{
    int k = 1;
    while (true) {
        fresh_device();
        bool ended = killed_at(k);
        check_after_crash();
        if (ended) {
            break;
        }
        k++;
    }
    /* A real walk, unless the machine forbids tracing; the next test needs no tracer. */
    ck_assert(k > 300 || k == 1);
}
END_TEST

/* The same without a tracer, at times spread over an update. */
START_TEST(test_killed_at_random_times)
{
    struct tm_rng rng;
    int killed = 0;
    tm_rng_init(&rng, 11);
    for (int i = 0; i < 100; i++) {
        int status;
        fresh_device();
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
            child_update();
        }
        usleep((useconds_t)tm_rng_below(&rng, 4000));
        kill(pid, SIGKILL);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        killed += WIFSIGNALED(status);
        check_after_crash();
    }
    ck_assert_int_gt(killed, 0);
}
END_TEST

/* A file that may not grow past a limit stands for a full disk: an error, and nothing changed. */
START_TEST(test_full_disk_at_every_size)
{
    int refused = 0;
    for (rlim_t limit = 0; limit < v2.file.bytes + 64; limit += 61) {
        int status;
        fresh_device();
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
            struct rlimit r = {.rlim_cur = limit, .rlim_max = RLIM_INFINITY};
            signal(SIGXFSZ, SIG_IGN);
            if (setrlimit(RLIMIT_FSIZE, &r) != 0) {
                _exit(99);
            }
            child_update();
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFEXITED(status));
        ck_assert_int_eq(WEXITSTATUS(status) == 0, limit >= v2.file.bytes);
        refused += WEXITSTATUS(status) != 0;
        check_after_crash();
    }
    ck_assert_int_gt(refused, 20);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("install");
    TCase *tc = tcase_create("install");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 280);
    tcase_add_test(tc, test_versions_share_chunks);
    tcase_add_test(tc, test_older_is_refused_and_rollback_keeps_the_floor);
    tcase_add_test(tc, test_same_release_again);
    tcase_add_test(tc, test_repair_of_a_rotten_package);
    tcase_add_test(tc, test_refusals);
    tcase_add_test(tc, test_no_space);
    tcase_add_test(tc, test_remove_keeps_the_floor);
    tcase_add_test(tc, test_index_floor);
    tcase_add_test(tc, test_damaged_state_is_named);
    tcase_add_test(tc, test_memory_failures);
    tcase_add_test(tc, test_needless_objects_are_removed);
    tcase_add_test(tc, test_killed_at_every_call);
    tcase_add_test(tc, test_killed_at_random_times);
    tcase_add_test(tc, test_full_disk_at_every_size);
    suite_add_tcase(suite, tc);
    return suite;
}
