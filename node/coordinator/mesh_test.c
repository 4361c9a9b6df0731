/* SPDX-License-Identifier: Apache-2.0
 * Whole runs over a small model: embedded, over tcp with honest and dishonest nodes.
 * Stops and kills are in mesh_loop_test.c. Every wait ends with Check's timeout at the latest. */
#include "node/coordinator/mesh.h"

#include <pthread.h>
#include <unistd.h>

#include "node/worker/worker_actor.h"
#include "tests/support/cheat.h"
#include "tests/support/small_job.h"
#include "tests/support/suite.h"

static struct small_job g_job;
static struct tm_err g_err;

static void set_up(void)
{
    small_job_open(&g_job);
}

static void tear_down(void)
{
    small_job_close(&g_job);
}

static void run_ok(const struct tm_mesh_options *options, struct tm_mesh_report *report)
{
    char line[1600];
    tm_status status = tm_mesh_run(options, report, &g_err);
    ck_assert_msg(status == TM_OK, "%s", tm_err_line(&g_err, line, sizeof line));
}

static struct tm_mesh_options embedded(unsigned workers)
{
    return (struct tm_mesh_options){
        .job = g_job.job, .identity = g_job.owner, .local_workers = workers, .quiet = true};
}

/* Merges and gives SHA-256 of the package file; the job is then forgotten. */
static struct tm_digest merged(void)
{
    struct tm_buf file;
    tm_buf_init(&file, 64u << 20);
    ck_assert_int_eq(tm_job_merge(g_job.job, g_job.owner, true, &g_err), TM_OK);
    ck_assert_int_eq(tm_file_read(g_job.out, &file, &g_err), TM_OK);
    struct tm_digest digest = tm_digest_of(tm_buf_view(&file));
    tm_buf_deinit(&file);
    return digest;
}

/* The package id: what was made, whoever made it. */
static struct tm_digest package_id(uint32_t *banned)
{
    struct tm_package *package = NULL;
    ck_assert_int_eq(tm_package_open(g_job.out, &package, &g_err), TM_OK);
    struct tm_digest id = *tm_package_id(package);
    uint32_t good = 0;
    ck_assert_int_eq(tm_package_check_ledger(package, &good, &g_err), TM_OK);
    ck_assert_uint_eq(good, g_job.job->split.unit_count);
    if (banned != NULL) {
        *banned = tm_package_ledger(package)->banned_count;
    }
    tm_package_close(&package);
    return id;
}

static void start_over(void)
{
    tm_job_close(&g_job.job);
    ck_assert_int_eq(tm_dir_remove_tree(g_job.state, &g_err), TM_OK);
    small_job_prepare(&g_job);
}

/* The package of an embedded run with one worker: what every other run must make. */
static struct tm_digest reference_id(void)
{
    struct tm_mesh_report report;
    struct tm_mesh_options options = embedded(1);
    run_ok(&options, &report);
    merged();
    struct tm_digest id = package_id(NULL);
    start_over();
    return id;
}

START_TEST(same_bytes_for_any_number_of_workers)
{
    static const unsigned workers[] = {1, 2, 4};
    struct tm_digest digest[3];
    for (size_t i = 0; i < 3; i++) {
        struct tm_mesh_report report;
        struct tm_mesh_options options = embedded(workers[i]);
        run_ok(&options, &report);
        ck_assert_uint_eq(report.units, g_job.job->split.unit_count);
        ck_assert_uint_gt(report.units, SMALL_JOB_LOSSY);
        ck_assert_uint_eq(report.units_resumed, 0);
        ck_assert_uint_eq(report.nodes_banned, 0);
        ck_assert_uint_eq(report.rejected, 0);
        digest[i] = merged();
        ck_assert(tm_digest_eq(&digest[i], &digest[0]));
        start_over();
    }
}
END_TEST

/* ---- nodes over tcp -------------------------------------------------------------------------- */

struct node {
    pthread_t thread;
    struct tm_identity *identity;
    struct tm_public_key server;
    char endpoint[128];
    struct cheat *cheat; /* NULL: honest */
    tm_status status;
    struct tm_err err;
};

static void *run_node(void *context)
{
    struct node *node = context;
    struct tm_worker_run_options options = {.endpoint = node->endpoint,
                                            .server_key = &node->server,
                                            .identity = node->identity,
                                            .name = node->cheat != NULL ? "cheat" : "honest",
                                            .threads = 1,
                                            .exit_when_done = true};
    if (node->cheat != NULL) {
        options.hooks.encode = cheat_encode;
        options.hooks.context = node->cheat;
    }
    node->status = tm_worker_run(&options, &node->err);
    return NULL;
}

struct coordinator {
    pthread_t thread;
    struct tm_mesh_options options;
    struct tm_mesh_report report;
    char ready[128];
    tm_status status;
    struct tm_err err;
};

static void *run_coordinator(void *context)
{
    struct coordinator *c = context;
    c->status = tm_mesh_run(&c->options, &c->report, &c->err);
    return NULL;
}

/* Starts it and waits for the file that says where it listens. */
static void start_coordinator(struct coordinator *c, char endpoint[128])
{
    snprintf(c->ready, sizeof c->ready, "%s/ready", g_job.dir);
    c->options = embedded(0);
    c->options.listen = "tcp://127.0.0.1:0";
    c->options.audit_every = 16;
    c->options.ready_file = c->ready;
    c->options.allow_any_node = true;
    ck_assert_int_eq(pthread_create(&c->thread, NULL, run_coordinator, c), 0);
    struct tm_buf text;
    tm_buf_init(&text, 4096);
    while (tm_file_read(c->ready, &text, &g_err) != TM_OK) {
        usleep(1000); /* the test's timeout is the deadline */
    }
    ck_assert_int_eq(tm_buf_terminate(&text), TM_OK);
    char key[TM_PUBLIC_KEY_TEXT];
    char want[TM_PUBLIC_KEY_TEXT + 16];
    const char *start = strchr((const char *)text.data, '=') + 1;
    snprintf(endpoint, 128, "%.*s", (int)strcspn(start, "\n"), start);
    snprintf(want, sizeof want, "server_key=%s\n",
             tm_public_key_text(tm_identity_public(g_job.owner), key));
    ck_assert_ptr_nonnull(strstr(start, want));
    tm_buf_deinit(&text);
}

static void start_node(struct node *node, const char *endpoint, uint8_t seed, struct cheat *cheat)
{
    *node = (struct node){.identity = small_job_identity(seed),
                          .server = *tm_identity_public(g_job.owner),
                          .cheat = cheat};
    snprintf(node->endpoint, sizeof node->endpoint, "%s", endpoint);
    ck_assert_int_eq(pthread_create(&node->thread, NULL, run_node, node), 0);
}

static void join_node(struct node *node)
{
    pthread_join(node->thread, NULL);
    tm_identity_destroy(&node->identity);
}

START_TEST(two_honest_nodes)
{
    struct tm_digest want = reference_id();
    struct coordinator c = {0};
    struct node nodes[2];
    char endpoint[128];
    start_coordinator(&c, endpoint);
    start_node(&nodes[0], endpoint, 11, NULL);
    start_node(&nodes[1], endpoint, 12, NULL);
    pthread_join(c.thread, NULL);
    ck_assert_int_eq(c.status, TM_OK);
    ck_assert_uint_eq(c.report.nodes_banned, 0);
    ck_assert_uint_ge(c.report.nodes, 1);
    ck_assert_uint_ge(c.report.audits, 4);
    ck_assert_uint_gt(c.report.source_bytes_sent, 0);
    merged();
    struct tm_digest id = package_id(NULL);
    ck_assert(tm_digest_eq(&id, &want));
    join_node(&nodes[0]);
    join_node(&nodes[1]);
    ck_assert(nodes[0].status == TM_OK || nodes[1].status == TM_OK);
}
END_TEST

/* A cheat alone works until it is banned; then an honest node makes everything. */
START_TEST(cheats_are_banned)
{
    struct tm_digest want = reference_id();
    static const enum cheat_mode modes[] = {CHEAT_GARBAGE, CHEAT_WRONG, CHEAT_ZERO,
                                            CHEAT_SOMETIMES};
    static const char *const reasons[] = {"decode", "again", "something else", "again"};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        struct coordinator c = {0};
        struct cheat cheat = {.mode = modes[i], .every = 3};
        struct node liar;
        struct node honest;
        char endpoint[128];
        uint32_t banned = 0;
        start_coordinator(&c, endpoint);
        start_node(&liar, endpoint, (uint8_t)(20 + i), &cheat);
        join_node(&liar);
        ck_assert_int_eq(liar.status, TM_E_REFUSED);
        ck_assert_msg(strstr(liar.err.why, reasons[i]) != NULL, "%s", liar.err.why);
        start_node(&honest, endpoint, 11, NULL);
        pthread_join(c.thread, NULL);
        join_node(&honest);
        ck_assert_int_eq(c.status, TM_OK);
        ck_assert_uint_eq(c.report.nodes_banned, 1);
        ck_assert_uint_ge(c.report.rejected, 1);
        merged();
        struct tm_digest id = package_id(&banned);
        ck_assert(tm_digest_eq(&id, &want));
        ck_assert_uint_eq(banned, 1);
        start_over();
        ck_assert_int_eq(unlink(c.ready), 0);
    }
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("mesh");
    TCase *tc = tcase_create("mesh");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, same_bytes_for_any_number_of_workers);
    tcase_add_test(tc, two_honest_nodes);
    tcase_add_test(tc, cheats_are_banned);
    suite_add_tcase(suite, tc);
    return suite;
}
