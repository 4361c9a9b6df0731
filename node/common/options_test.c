/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "node/common/options_private.h"
#include "tests/support/suite.h"

static tm_status never(const struct tm_command *command, const struct tm_parsed *parsed,
                       struct tm_err *err)
{
    (void)command;
    (void)parsed;
    (void)err;
    return TM_E_INTERNAL;
}

static const struct tm_option options[] = {
    {"recipe", 0, TM_OPT_TEXT, "NAME", NULL, "int8", "how to compress"},
    {"output", 'o', TM_OPT_TEXT, "FILE", NULL, NULL, "where to"},
    {"workers", 0, TM_OPT_U64, "N", NULL, NULL, "threads"},
    {"room", 0, TM_OPT_SIZE, "SIZE", NULL, "64MiB", "memory"},
    {"format", 0, TM_OPT_CHOICE, "F", "gguf|safetensors", NULL, "kind"},
    {"full", 0, TM_OPT_FLAG, NULL, NULL, NULL, "all"},
    {0},
};
static const struct tm_command command = {
    "compress", "MODEL", 1, 1, "compresses", NULL, NULL, options, never,
};
static const struct tm_command *const commands[] = {&command, NULL};
static const struct tm_program program = {"tmill", "test", commands, "config.toml"};

static struct tm_parsed parsed;
static struct tm_err err;

static void reset(void)
{
    memset(&parsed, 0, sizeof parsed);
    memset(&err, 0, sizeof err);
    unsetenv("TMILL_RECIPE");
    unsetenv("TMILL_FULL");
    unsetenv("TMILL_CONFIG");
}

static tm_status parse(int argc, char **argv)
{
    tm_status status = tm_parse_arguments(&command, argc, argv, &parsed, &err);
    return status == TM_OK ? tm_fill_options(&command, NULL, &parsed, &err) : status;
}

START_TEST(flags_values_and_defaults)
{
    char *argv[] = {"m.gguf", "-o", "out", "--workers=3", "--format", "gguf", "--full", "--json"};
    ck_assert_int_eq(parse(8, argv), TM_OK);
    ck_assert_str_eq(parsed.arguments[0], "m.gguf");
    ck_assert_str_eq(tm_opt_text(&command, &parsed, "output"), "out");
    ck_assert_uint_eq(tm_opt_u64(&command, &parsed, "workers"), 3);
    ck_assert_str_eq(tm_opt_text(&command, &parsed, "recipe"), "int8");
    ck_assert_uint_eq(tm_opt_u64(&command, &parsed, "room"), 64 << 20);
    ck_assert(tm_opt_flag(&command, &parsed, "full"));
    ck_assert(parsed.json);
}
END_TEST

START_TEST(double_dash_ends_options)
{
    char *argv[] = {"--", "-dash.safetensors"};
    ck_assert_int_eq(parse(2, argv), TM_OK);
    ck_assert_str_eq(parsed.arguments[0], "-dash.safetensors");
}
END_TEST

static void refused(int argc, char **argv, const char *where, const char *what)
{
    reset();
    ck_assert_int_eq(parse(argc, argv), TM_E_USAGE);
    ck_assert_str_eq(err.where, where);
    ck_assert_str_eq(err.what, what);
    ck_assert_ptr_nonnull(strstr(err.hint, "--help"));
}

START_TEST(what_it_does_not_know_is_refused)
{
    refused(2, (char *[]){"m", "--rcipe"}, "--rcipe", "unknown option");
    refused(5, (char *[]){"m", "-o", "a", "-o", "b"}, "--output", "repeated option");
    refused(2, (char *[]){"m", "--output"}, "--output", "missing value");
    refused(3, (char *[]){"m", "--workers", "-1"}, "--workers", "bad value");
    refused(3, (char *[]){"m", "--format", "ggu"}, "--format", "bad value");
    refused(3, (char *[]){"m", "--format", "gguf|safetensors"}, "--format", "bad value");
    refused(2, (char *[]){"m", "n"}, "n", "too many arguments");
    refused(1, (char *[]){"--full"}, "compress", "missing argument");
    refused(2, (char *[]){"m", "--full=maybe"}, "--full", "bad value");
}
END_TEST

static void write_config(char path[64], const char *text)
{
    snprintf(path, 64, "/tmp/tmill-options-XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    setenv("TMILL_CONFIG", path, 1);
}

static tm_status parse_with_config(int argc, char **argv, struct tm_config *config)
{
    tm_status status = tm_config_load(&program, config, &err);
    if (status == TM_OK) {
        status = tm_parse_arguments(&command, argc, argv, &parsed, &err);
    }
    return status == TM_OK ? tm_fill_options(&command, config, &parsed, &err) : status;
}

START_TEST(flag_over_environment_over_file)
{
    char path[64];
    struct tm_config config = {.root = NULL};
    char *plain[] = {"m"};
    char *flag[] = {"m", "--recipe", "ternary"};
    write_config(path, "recipe = \"top\"\nworkers = 5\n[compress]\nrecipe = \"file\"\n");
    ck_assert_int_eq(parse_with_config(1, plain, &config), TM_OK);
    ck_assert_str_eq(tm_opt_text(&command, &parsed, "recipe"), "file");
    ck_assert_uint_eq(tm_opt_u64(&command, &parsed, "workers"), 5);
    tm_config_unload(&config);

    reset();
    setenv("TMILL_CONFIG", path, 1);
    setenv("TMILL_RECIPE", "env", 1);
    ck_assert_int_eq(parse_with_config(1, plain, &config), TM_OK);
    ck_assert_str_eq(tm_opt_text(&command, &parsed, "recipe"), "env");
    tm_config_unload(&config);

    memset(&parsed, 0, sizeof parsed);
    ck_assert_int_eq(parse_with_config(3, flag, &config), TM_OK);
    ck_assert_str_eq(tm_opt_text(&command, &parsed, "recipe"), "ternary");
    tm_config_unload(&config);
    unlink(path);
}
END_TEST

/* A command's name is a table, an option's is none. */
START_TEST(tables_and_values_are_not_mixed_up)
{
    static const char *const texts[] = {"compress = 3\n", "[recipe]\nname = 3\n", "[other]\n"};
    char *plain[] = {"m"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char path[64];
        struct tm_config config = {.root = NULL};
        reset();
        write_config(path, texts[i]);
        ck_assert_int_eq(parse_with_config(1, plain, &config), TM_E_USAGE);
        ck_assert_msg(strstr(err.where, ":1:") != NULL, "%s", err.where);
        tm_config_unload(&config);
        unlink(path);
    }
}
END_TEST

START_TEST(unknown_configuration_keys_are_refused_with_their_place)
{
    char path[64];
    char *plain[] = {"m"};
    struct tm_config config = {.root = NULL};
    write_config(path, "\n[compress]\n  recipee = \"x\"\n");
    ck_assert_int_eq(parse_with_config(1, plain, &config), TM_E_USAGE);
    ck_assert_msg(strstr(err.where, ":3:") != NULL, "%s", err.where);
    ck_assert_ptr_nonnull(strstr(err.why, "recipee"));
    tm_config_unload(&config);
    unlink(path);
}
END_TEST

Suite *tm_suite(void)
{
    Suite *suite = suite_create("options");
    TCase *tc = tcase_create("options");
    tcase_add_checked_fixture(tc, reset, NULL);
    tcase_add_test(tc, flags_values_and_defaults);
    tcase_add_test(tc, double_dash_ends_options);
    tcase_add_test(tc, what_it_does_not_know_is_refused);
    tcase_add_test(tc, flag_over_environment_over_file);
    tcase_add_test(tc, unknown_configuration_keys_are_refused_with_their_place);
    tcase_add_test(tc, tables_and_values_are_not_mixed_up);
    suite_add_tcase(suite, tc);
    return suite;
}
