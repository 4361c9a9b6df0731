/* SPDX-License-Identifier: Apache-2.0 */
#include "base/progress.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/event.h"
#include "base/mem.h"
#include "tests/support/suite.h"

static struct tm_clock_sim sim;
static struct tm_clock sim_clock;
static FILE *stream;
static int master = -1;
static char text[20000];
static off_t printed_at;

static void setup_file(void)
{
    sim = (struct tm_clock_sim){.now_ms = 12345};
    sim_clock = tm_clock_of_sim(&sim);
    printed_at = 0;
    stream = tmpfile();
    ck_assert_ptr_nonnull(stream);
}

static void setup_terminal(void)
{
    setup_file();
    fclose(stream);
    master = posix_openpt(O_RDWR | O_NOCTTY);
    ck_assert(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    ck_assert_int_ge(slave, 0);
    struct termios raw;
    ck_assert_int_eq(tcgetattr(slave, &raw), 0);
    cfmakeraw(&raw);
    ck_assert_int_eq(tcsetattr(slave, TCSANOW, &raw), 0);
    struct winsize size = {.ws_row = 24, .ws_col = 100};
    ck_assert_int_eq(ioctl(slave, TIOCSWINSZ, &size), 0);
    stream = fdopen(slave, "w");
    ck_assert_ptr_nonnull(stream);
    setenv("TERM", "xterm", 1);
    setenv("NO_COLOR", "1", 1);
}

static void teardown(void)
{
    fclose(stream);
    if (master >= 0) {
        close(master);
        master = -1;
    }
    ck_assert_uint_eq(tm_mem_live_blocks(), 0);
}

/* Reads the terminal up to an end mark written behind all else; what was written arrives late. */
static size_t read_terminal(void)
{
    size_t used = 0;
    fputc('\x02', stream);
    fflush(stream);
    while (used == 0 || text[used - 1] != '\x02') {
        struct pollfd ready = {.fd = master, .events = POLLIN};
        ck_assert_int_eq(poll(&ready, 1, 10000), 1);
        ssize_t got = read(master, text + used, sizeof text - 1 - used);
        ck_assert_int_gt(got, 0);
        used += (size_t)got;
    }
    return used - 1;
}

/* What was printed since the last call. */
static const char *printed(void)
{
    size_t used = 0;
    if (master >= 0) {
        used = read_terminal();
    } else {
        ssize_t got = pread(fileno(stream), text, sizeof text - 1, printed_at);
        ck_assert_int_ge(got, 0);
        used = (size_t)got;
        printed_at += got;
    }
    text[used] = '\0';
    return text;
}

static struct tm_progress *start(const char *label, uint64_t total, enum tm_progress_unit unit)
{
    return tm_progress_new(&(struct tm_progress_options){.label = label,
                                                         .total = total,
                                                         .unit = unit,
                                                         .item_name = "units",
                                                         .stream = stream,
                                                         .clock = &sim_clock});
}

START_TEST(short_runs_are_silent)
{
    struct tm_progress *p = start("encode", 10, TM_PROGRESS_ITEMS);
    for (uint64_t i = 0; i <= 10; i++) {
        tm_progress_update(p, i, "note");
        sim.now_ms += 199;
    }
    sim.now_ms = 12345 + 2000;
    tm_progress_finish(&p);
    ck_assert_ptr_null(p);
    ck_assert_str_eq(printed(), "");
}
END_TEST

START_TEST(broken_off_runs_add_nothing)
{
    struct tm_progress *p = start("encode", 10, TM_PROGRESS_ITEMS);
    tm_progress_update(p, 5, NULL);
    sim.now_ms += 9000;
    tm_progress_finish(&p);
    ck_assert_str_eq(printed(), "");
}
END_TEST

START_TEST(longer_runs_end_with_a_line)
{
    struct tm_progress *p = start("encode", 10, TM_PROGRESS_ITEMS);
    sim.now_ms += 10000;
    tm_progress_update(p, 9, NULL);
    ck_assert_str_ne(printed(), "");
    sim.now_ms += 10000;
    tm_progress_update(p, 9, NULL);
    tm_progress_update(p, 10, NULL);
    ck_assert_str_ne(printed(), "");
    tm_progress_finish(&p);
    ck_assert_str_eq(printed(), "encode 100%  10/10 units  0.50 units/s  in 20s\n");
}
END_TEST

START_TEST(a_line_every_ten_seconds)
{
    struct tm_progress *p = start("encode", 1000, TM_PROGRESS_ITEMS);
    size_t lines = 0;
    for (uint64_t i = 1; i <= 350; i++) { /* ten units a second */
        sim.now_ms += 100;
        tm_progress_update(p, i, i == 100 ? "layer\n1" : NULL);
        const char *now = printed();
        if (now[0] != '\0') {
            lines++;
            ck_assert_uint_eq(i % 100, 0);
        }
        if (i == 100) { /* the window is the 9 s since 1 s: 91 updates are in it */
            ck_assert_str_eq(now,
                             "encode  10%  100/1000 units  10.1 units/s  ETA 1m29s  layer\\x0a1\n");
        }
    }
    ck_assert_uint_eq(lines, 3);
    tm_progress_finish(&p);
    ck_assert_str_eq(printed(), "encode  35%  350/1000 units  10.0 units/s  in 35s\n");
}
END_TEST

START_TEST(bytes_and_unknown_totals)
{
    struct tm_progress *p = start("fetch", (uint64_t)2 << 30, TM_PROGRESS_BYTES);
    sim.now_ms += 10000;
    tm_progress_update(p, (uint64_t)1 << 30, NULL);
    /* All in the newest of the ten seconds, of which nothing has passed yet but nine before it. */
    ck_assert_str_eq(printed(), "fetch  50%  1.00 GiB/2.00 GiB  114 MiB/s  ETA 9s\n");
    tm_progress_finish(&p);
    printed();
    p = start("scan", 0, TM_PROGRESS_ITEMS);
    sim.now_ms += 20000;
    tm_progress_update(p, 5, NULL);
    ck_assert_str_eq(printed(), "scan  5 units  0.56 units/s\n");
    tm_progress_finish(&p);
    ck_assert_str_eq(printed(), "scan  5 units  0.25 units/s  in 20s\n");
}
END_TEST

START_TEST(rate_looks_ten_seconds_back)
{
    struct tm_progress *p = start("x", 100000, TM_PROGRESS_ITEMS);
    ck_assert(tm_progress_rate(p) == 0);
    uint64_t done = 0;
    for (int i = 0; i < 30; i++) { /* 1000 a second, then 10 */
        done += i < 15 ? 1000 : 10;
        tm_progress_update(p, done, NULL);
        sim.now_ms += 1000;
        double rate = tm_progress_rate(p);
        if (i < 9) {
            ck_assert(rate == 1000);
        } else if (i < 14) { /* nine whole seconds in the window */
            ck_assert(rate == 1000);
        } else if (i > 25) {
            ck_assert(rate == 10);
        }
    }
    tm_progress_update(p, 5, NULL); /* backwards: ignored */
    sim.now_ms += 60000;
    ck_assert(tm_progress_rate(p) == 0);
    ck_assert(tm_progress_rate(NULL) == 0);
    tm_progress_finish(&p);
}
END_TEST

START_TEST(quiet_and_without_memory)
{
    struct tm_progress_options options = {
        .label = "x", .total = 1, .quiet = true, .stream = stream, .clock = &sim_clock};
    struct tm_progress *p = tm_progress_new(&options);
    sim.now_ms += 60000;
    tm_progress_update(p, 1, NULL);
    tm_progress_pause(p);
    tm_progress_finish(&p);
    ck_assert_str_eq(printed(), "");
    tm_mem_fail_at(1);
    p = tm_progress_new(&options);
    ck_assert_ptr_null(p);
    tm_progress_update(p, 1, NULL);
    tm_progress_pause(p);
    tm_progress_finish(&p);
}
END_TEST

START_TEST(bar_on_a_terminal)
{
    struct tm_progress *p = start("encode", 1344, TM_PROGRESS_ITEMS);
    sim.now_ms += 1000;
    tm_progress_update(p, 336, NULL);
    ck_assert_str_eq(printed(), "\r\x1b[Kencode  25% [########>.......................]  "
                                "336/1344 units  336.0 units/s  ETA 3s");
    sim.now_ms += 50;
    tm_progress_update(p, 400, NULL); /* too early for another */
    ck_assert_str_eq(printed(), "");
    tm_progress_pause(p);
    ck_assert_str_eq(printed(), "\r\x1b[K");
    tm_progress_update(p, 400, NULL); /* drawn again at once */
    ck_assert_ptr_nonnull(strstr(printed(), "400/1344"));
    sim.now_ms += 950;
    tm_progress_update(p, 1344, NULL);
    printed();
    tm_progress_finish(&p);
    ck_assert_str_eq(printed(), "\r\x1b[Kencode 100% [################################]  "
                                "1344/1344 units  672.0 units/s  in 2s\n");
}
END_TEST

START_TEST(a_line_of_the_log_does_not_touch_the_bar)
{
    struct tm_sink sink = tm_sink_stream(stream, TM_LEVEL_INFO);
    struct tm_progress *p = start("encode", 1344, TM_PROGRESS_ITEMS);
    sim.now_ms += 1000;
    tm_progress_update(p, 336, NULL);
    printed();
    for (int i = 0; i < 2; i++) {
        TM_EVENT(&sink, TM_LEVEL_INFO, "node.joined", {"name", "a", 0});
        const char *now = printed(); /* cleared once: the second line follows the first */
        ck_assert_int_eq(strncmp(now, i == 0 ? "\r\x1b[Kts=" : "ts=", i == 0 ? 7 : 3), 0);
        ck_assert_ptr_nonnull(strstr(now, "name=a\n"));
    }
    sim.now_ms += 100;
    tm_progress_update(p, 400, NULL);
    ck_assert_int_eq(strncmp(printed(), "\r\x1b[Kencode", 10), 0);
    sim.now_ms += 100;
    tm_progress_finish(&p);
    printed();
    TM_EVENT(&sink, TM_LEVEL_INFO, "node.left", {"name", "a", 0});
    ck_assert_int_eq(strncmp(printed(), "ts=", 3), 0); /* nothing is cleared where no bar is */
}
END_TEST

START_TEST(every_width_is_kept)
{
    for (unsigned short width = 1; width < 200; width++) {
        struct winsize size = {.ws_row = 24, .ws_col = width};
        ck_assert_int_eq(ioctl(fileno(stream), TIOCSWINSZ, &size), 0);
        struct tm_progress *p = start("a label of some length", 1344, TM_PROGRESS_ITEMS);
        sim.now_ms += 1000;
        tm_progress_update(p, 700, "blk.12.ffn_down.weight");
        const char *now = printed();
        ck_assert_int_eq(strncmp(now, "\r\x1b[K", 4), 0);
        /* 22 label, 5 percent, 2 + 37 figures, 35 bar, 2 + 22 note, and one column free */
        ck_assert_uint_lt(strlen(now + 4), width > 1 ? width : 2);
        ck_assert_int_eq(strstr(now, "blk.12") != NULL, width >= 126);
        tm_progress_finish(&p);
        printed();
    }
}
END_TEST

START_TEST(colour_and_dumb_terminals)
{
    unsetenv("NO_COLOR");
    struct tm_progress *p = start("encode", 10, TM_PROGRESS_ITEMS);
    tm_progress_update(p, 1, NULL);
    ck_assert_int_eq(strncmp(printed(), "\r\x1b[K\x1b[1;36mencode\x1b[0m", 21), 0);
    tm_progress_finish(&p);
    printed();
    setenv("TERM", "dumb", 1);
    p = start("encode", 10, TM_PROGRESS_ITEMS);
    tm_progress_update(p, 1, NULL);
    ck_assert_str_eq(printed(), "");
    sim.now_ms += 10000;
    tm_progress_update(p, 2, NULL);
    ck_assert_ptr_null(strchr(printed(), '\x1b'));
    ck_assert_ptr_nonnull(strstr(text, "2/10 units"));
    tm_progress_finish(&p);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("progress");
    TCase *file = tcase_create("file");
    tcase_add_checked_fixture(file, setup_file, teardown);
    tcase_add_test(file, short_runs_are_silent);
    tcase_add_test(file, broken_off_runs_add_nothing);
    tcase_add_test(file, longer_runs_end_with_a_line);
    tcase_add_test(file, a_line_every_ten_seconds);
    tcase_add_test(file, bytes_and_unknown_totals);
    tcase_add_test(file, rate_looks_ten_seconds_back);
    tcase_add_test(file, quiet_and_without_memory);
    suite_add_tcase(suite, file);
    TCase *terminal = tcase_create("terminal");
    tcase_add_checked_fixture(terminal, setup_terminal, teardown);
    tcase_add_test(terminal, bar_on_a_terminal);
    tcase_add_test(terminal, a_line_of_the_log_does_not_touch_the_bar);
    tcase_add_test(terminal, every_width_is_kept);
    tcase_add_test(terminal, colour_and_dumb_terminals);
    suite_add_tcase(suite, terminal);
    return suite;
}
