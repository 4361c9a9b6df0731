/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/json.h"
#include "crypto/identity.h"
#include "node/common/options_private.h"

volatile int tm_stop_signal;

static void on_signal(int number)
{
    if (tm_stop_signal != 0) {
        tm_file_out_abort_all();
        _exit(128 + number);
    }
    tm_stop_signal = number;
}

static void install_signals(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    /* Reads and writes of the C library and of others go on; waits (poll) end all the same. */
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_flags = 0;
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
    sigaction(SIGXFSZ, &action, NULL); /* a file size limit is an error status, not a signal */
}

/* A closed stdin, stdout or stderr would let the next open() become it and be written over. What
 * takes its place cannot be used in that direction, so that lost output is noticed. */
static void open_standard_streams(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF) {
            int got = open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
            (void)got;
        }
    }
}

static void print_error(const struct tm_program *program, const struct tm_err *err, bool json)
{
    char line[2048];
    if (!json) {
        fprintf(stderr, "%s: %s\n", program->name, tm_err_line(err, line, sizeof line));
        return;
    }
    struct tm_buf out;
    struct tm_jw jw;
    tm_buf_init(&out, 1 << 16);
    tm_jw_begin(&jw, &out, false);
    tm_jw_object(&jw, NULL);
    tm_jw_str(&jw, "schema", "tmill.error/1");
    tm_jw_u64(&jw, "code", (uint64_t)tm_status_exit_code(err->status));
    tm_jw_str(&jw, "status", tm_status_text(err->status));
    tm_jw_str(&jw, "where", err->where);
    tm_jw_str(&jw, "what", err->what);
    tm_jw_str(&jw, "why", err->why);
    tm_jw_str(&jw, "hint", err->hint);
    tm_jw_object_end(&jw);
    if (tm_jw_end(&jw) == TM_OK) {
        fprintf(stderr, "%.*s\n", (int)out.bytes, (const char *)out.data);
    } else {
        fprintf(stderr, "%s: %s\n", program->name, tm_err_line(err, line, sizeof line));
    }
    tm_buf_deinit(&out);
}

static void print_program_help(const struct tm_program *program)
{
    printf("%s - %s\n\nusage: %s COMMAND [ARGUMENTS] [OPTIONS]\n\ncommands:\n", program->name,
           program->summary, program->name);
    for (size_t i = 0; program->commands[i] != NULL; i++) {
        printf("  %-12s %s\n", program->commands[i]->name, program->commands[i]->summary);
    }
    printf("\n%s COMMAND --help shows arguments, options and examples.\n", program->name);
}

static void print_option(const struct tm_option *option)
{
    char left[96];
    char letter[8] = "    ";
    if (option->letter != 0) {
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    }
    snprintf(left, sizeof left, "%s--%s%s%s", letter, option->name,
             option->value_name != NULL ? " " : "",
             option->value_name != NULL ? option->value_name : "");
    printf("  %-28s %s", left, option->help);
    if (option->choices != NULL) {
        printf(" (%s)", option->choices);
    }
    if (option->fallback != NULL) {
        printf(" [%s]", option->fallback);
    }
    printf("\n");
}

static void print_command_help(const struct tm_program *program, const struct tm_command *command)
{
    printf("usage: %s %s %s%s[OPTIONS]\n\n%s\n", program->name, command->name, command->arguments,
           command->arguments[0] != '\0' ? " " : "", command->summary);
    if (command->details != NULL) {
        printf("\n%s\n", command->details);
    }
    printf("\noptions:\n");
    for (size_t i = 0; command->options != NULL && command->options[i].name != NULL; i++) {
        print_option(&command->options[i]);
    }
    printf("      --json                   one JSON value on stdout, errors as JSON\n"
           "  -q, --quiet                  no progress\n"
           "  -v, --verbose                more log lines\n"
           "  -h, --help                   this text\n");
    if (command->examples != NULL) {
        printf("\nexamples:\n%s\n", command->examples);
    }
}

/* The command of argv[1] (or of argv[1] and argv[2]); *used words. */
static const struct tm_command *find_command(const struct tm_program *program, int argc,
                                             char **argv, int *used)
{
    for (size_t i = 0; program->commands[i] != NULL; i++) {
        const char *name = program->commands[i]->name;
        const char *space = strchr(name, ' ');
        size_t first = space != NULL ? (size_t)(space - name) : strlen(name);
        if (strlen(argv[1]) != first || strncmp(argv[1], name, first) != 0) {
            continue;
        }
        if (space == NULL) {
            *used = 1;
            return program->commands[i];
        }
        if (argc > 2 && strcmp(argv[2], space + 1) == 0) {
            *used = 2;
            return program->commands[i];
        }
    }
    return NULL;
}

static tm_status flush_stdout(struct tm_err *err)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return TM_OK;
    }
    return tm_err_set_os(err, errno != 0 ? errno : EIO, "standard output", "cannot write");
}

/* Said in JSON or in words? Also when the command line is so wrong that it was not parsed. */
static bool wants_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            return true;
        }
    }
    return false;
}

static tm_status run_command(const struct tm_program *program, const struct tm_command *command,
                             int argc, char **argv, struct tm_parsed *parsed, struct tm_err *err)
{
    struct tm_config config = {.root = NULL};
    tm_status status = tm_parse_arguments(command, argc, argv, parsed, err);
    if (status == TM_OK && parsed->help) {
        print_command_help(program, command);
        return flush_stdout(err);
    }
    if (status == TM_OK) {
        status = tm_kernel_init_from_env(err);
    }
    if (status == TM_OK) {
        status = tm_crypto_init(err);
    }
    if (status == TM_OK) {
        status = tm_config_load(program, &config, err);
    }
    if (status == TM_OK) {
        status = tm_fill_options(command, &config, parsed, err);
    }
    if (status == TM_OK) {
        status = command->run(command, parsed, err);
    }
    if (status == TM_OK) {
        status = flush_stdout(err);
    }
    tm_config_unload(&config);
    return status;
}

/* The commands that start with the word, for one that needs a second: "trust add, trust list". */
static tm_status unknown_command(const struct tm_program *program, const char *word,
                                 struct tm_err *err)
{
    char hint[128], list[256] = "";
    size_t used = 0, bytes = strlen(word);
    for (size_t i = 0; program->commands[i] != NULL; i++) {
        const char *name = program->commands[i]->name;
        if (strncmp(name, word, bytes) == 0 && name[bytes] == ' ' && used < sizeof list) {
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used > 0 ? ", " : "",
                                     name);
        }
    }
    if (used > 0) {
        return tm_err_set(err, TM_E_USAGE, word, "incomplete command", NULL, "there are: %s", list);
    }
    snprintf(hint, sizeof hint, "%s --help lists the commands", program->name);
    return tm_err_set(err, TM_E_USAGE, word, "unknown command", hint, "no such command");
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

/* Everything but the report of the error; *command is the one that was found. */
static tm_status dispatch(const struct tm_program *program, int argc, char **argv,
                          const struct tm_command **command, struct tm_err *err)
{
    static struct tm_parsed parsed;
    memset(&parsed, 0, sizeof parsed);
    *command = NULL;
    if (is_help(argv[1])) {
        print_program_help(program);
        return flush_stdout(err);
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("%s %s\n", program->name, TMILL_VERSION);
        return flush_stdout(err);
    }
    int used = 0;
    *command = find_command(program, argc, argv, &used);
    if (*command == NULL) {
        return unknown_command(program, argv[1], err);
    }
    install_signals();
    return run_command(program, *command, argc - 1 - used, argv + 1 + used, &parsed, err);
}

int tm_program_main(const struct tm_program *program, int argc, char **argv)
{
    const struct tm_command *command;
    struct tm_err err;
    memset(&err, 0, sizeof err);
    open_standard_streams();
    if (argc < 2) {
        print_program_help(program);
        return tm_status_exit_code(TM_E_USAGE);
    }
    tm_status status = dispatch(program, argc, argv, &command, &err);
    if (status != TM_OK) {
        /* Without memory some only return: what err says is then of something that was mended. */
        if (err.status == TM_OK || (status == TM_E_NOMEM && err.status != status)) {
            (void)tm_err_set(&err, status, command != NULL ? command->name : "", "failed", NULL,
                             "%s", tm_status_text(status));
        }
        print_error(program, &err, wants_json(argc, argv));
        tm_file_out_abort_all();
    }
    return tm_status_exit_code(status);
}
