/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/options.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/num.h"
#include "base/toml.h"
#include "node/common/options_private.h"

static size_t count_options(const struct tm_command *command)
{
    size_t n = 0;
    while (command->options != NULL && command->options[n].name != NULL) {
        n++;
    }
    TM_ASSERT(n <= TM_OPTIONS_MAX);
    return n;
}

static size_t index_of(const struct tm_command *command, const char *name)
{
    size_t n = count_options(command);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(command->options[i].name, name) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

const char *tm_opt_text(const struct tm_command *command, const struct tm_parsed *parsed,
                        const char *name)
{
    size_t i = index_of(command, name);
    TM_ASSERT(i != SIZE_MAX);
    return parsed->value[i].text;
}

uint64_t tm_opt_u64(const struct tm_command *command, const struct tm_parsed *parsed,
                    const char *name)
{
    size_t i = index_of(command, name);
    TM_ASSERT(i != SIZE_MAX);
    return parsed->value[i].number;
}

bool tm_opt_flag(const struct tm_command *command, const struct tm_parsed *parsed, const char *name)
{
    return tm_opt_u64(command, parsed, name) != 0;
}

static tm_status usage(struct tm_err *err, const struct tm_command *command, const char *where,
                       const char *what, const char *why)
{
    char hint[256];
    snprintf(hint, sizeof hint, "'%s --help' lists the options", command->name);
    return tm_err_set(err, TM_E_USAGE, where, what, hint, "%s", why);
}

static bool is_choice(const char *choices, const char *text)
{
    size_t bytes = strlen(text);
    for (const char *at = choices; *at != '\0';) {
        const char *end = strchr(at, '|');
        size_t n = end != NULL ? (size_t)(end - at) : strlen(at);
        if (n == bytes && memcmp(at, text, n) == 0) {
            return true;
        }
        at += n + (end != NULL);
    }
    return false;
}

static bool parse_bool(const char *text, uint64_t *out)
{
    bool yes = strcmp(text, "1") == 0 || strcmp(text, "true") == 0;
    bool no = strcmp(text, "0") == 0 || strcmp(text, "false") == 0;
    *out = yes;
    return yes || no;
}

/* Checks and stores one value; `where` names its origin ("--recipe", "TMILL_RECIPE", file:1:2). */
static tm_status store(const struct tm_command *command, struct tm_parsed *parsed, size_t i,
                       const char *text, const char *where, struct tm_err *err)
{
    const struct tm_option *option = &command->options[i];
    uint64_t number = 0;
    bool ok = true;
    char expected[128];
    snprintf(expected, sizeof expected, "a number");
    switch (option->kind) {
    case TM_OPT_TEXT:
        break;
    case TM_OPT_U64:
        ok = tm_parse_u64(tm_view_str(text), &number) == TM_OK;
        break;
    case TM_OPT_SIZE:
        ok = tm_parse_size(tm_view_str(text), &number) == TM_OK;
        snprintf(expected, sizeof expected, "a size such as 64MiB");
        break;
    case TM_OPT_CHOICE:
        ok = is_choice(option->choices, text);
        snprintf(expected, sizeof expected, "one of %s", option->choices);
        break;
    case TM_OPT_FLAG:
        ok = parse_bool(text, &number);
        snprintf(expected, sizeof expected, "true or false");
        break;
    }
    if (!ok) {
        char why[300];
        snprintf(why, sizeof why, "'%.150s' is not %s", text, expected);
        return usage(err, command, where, "bad value", why);
    }
    parsed->value[i].text = text;
    parsed->value[i].number = number;
    return TM_OK;
}

/* The options that every command has. Returns true when the word was one. */
static bool common_flag(const char *word, struct tm_parsed *parsed)
{
    if (strcmp(word, "--json") == 0) {
        parsed->json = true;
    } else if (strcmp(word, "--quiet") == 0 || strcmp(word, "-q") == 0) {
        parsed->quiet = true;
    } else if (strcmp(word, "--verbose") == 0 || strcmp(word, "-v") == 0) {
        parsed->verbose = true;
    } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        parsed->help = true;
    } else {
        return false;
    }
    return true;
}

/* Finds the option of a word "--name", "--name=value", "-x"; value is what follows '='. */
static size_t match_option(const struct tm_command *command, const char *word, const char **value)
{
    size_t n = count_options(command);
    *value = NULL;
    for (size_t i = 0; i < n; i++) {
        const struct tm_option *option = &command->options[i];
        if (word[1] != '-') {
            if (option->letter != 0 && word[1] == option->letter && word[2] == '\0') {
                return i;
            }
            continue;
        }
        size_t bytes = strlen(option->name);
        if (strncmp(word + 2, option->name, bytes) == 0) {
            if (word[2 + bytes] == '\0') {
                return i;
            }
            if (word[2 + bytes] == '=') {
                *value = word + 2 + bytes + 1;
                return i;
            }
        }
    }
    return SIZE_MAX;
}

static tm_status take_option(const struct tm_command *command, int argc, char **argv, int *at,
                             struct tm_parsed *parsed, struct tm_err *err)
{
    const char *word = argv[*at];
    const char *value = NULL;
    size_t i = match_option(command, word, &value);
    if (i == SIZE_MAX) {
        return usage(err, command, word, "unknown option", "this command does not have it");
    }
    const struct tm_option *option = &command->options[i];
    char where[80];
    snprintf(where, sizeof where, "--%s", option->name);
    if (parsed->value[i].set) {
        return usage(err, command, where, "repeated option", "it was given twice");
    }
    parsed->value[i].set = true;
    if (option->kind == TM_OPT_FLAG) {
        return store(command, parsed, i, value != NULL ? value : "1", where, err);
    }
    if (value == NULL) {
        if (*at + 1 >= argc) {
            return usage(err, command, where, "missing value", "nothing follows it");
        }
        value = argv[++*at];
    }
    return store(command, parsed, i, value, where, err);
}

tm_status tm_parse_arguments(const struct tm_command *command, int argc, char **argv,
                             struct tm_parsed *parsed, struct tm_err *err)
{
    bool only_arguments = false;
    for (int at = 0; at < argc; at++) {
        const char *word = argv[at];
        if (!only_arguments && strcmp(word, "--") == 0) {
            only_arguments = true;
            continue;
        }
        if (!only_arguments && word[0] == '-' && word[1] != '\0') {
            if (!common_flag(word, parsed)) {
                TM_TRY(take_option(command, argc, argv, &at, parsed, err));
            }
            continue;
        }
        if (parsed->argument_count >= command->max_arguments) {
            return usage(err, command, word, "too many arguments", "one more than it takes");
        }
        parsed->arguments[parsed->argument_count++] = word;
    }
    if (!parsed->help && parsed->argument_count < command->min_arguments) {
        return usage(err, command, command->name, "missing argument", command->arguments);
    }
    return TM_OK;
}

/* TMILL_ + name in capitals, '-' as '_'. */
static void env_name(const char *name, char out[64])
{
    size_t n = (size_t)snprintf(out, 64, "TMILL_%s", name);
    for (size_t i = 6; i < n && i < 63; i++) {
        out[i] = out[i] == '-' ? '_' : (char)toupper((unsigned char)out[i]);
    }
}

static const char *toml_text(const struct tm_toml *node, char out[64])
{
    switch (node->kind) {
    case TM_TOML_STRING:
        return node->string.data;
    case TM_TOML_INT:
        snprintf(out, 64, "%lld", (long long)node->integer);
        return out;
    case TM_TOML_BOOL:
        return node->boolean ? "true" : "false";
    default:
        return NULL;
    }
}

/* Value of an option from the configuration: the command's table first, then the top level. */
static tm_status from_config(const struct tm_command *command, struct tm_parsed *parsed, size_t i,
                             const struct tm_config *config, struct tm_err *err)
{
    const char *name = command->options[i].name;
    const struct tm_toml *table = tm_toml_get(config->root, command->name);
    const struct tm_toml *node = tm_toml_get(table, name);
    if (node == NULL) {
        node = tm_toml_get(config->root, name);
    }
    if (node == NULL) {
        return TM_OK;
    }
    char where[TM_PATH_MAX + 32];
    snprintf(where, sizeof where, "%s:%u:%u", config->path, node->line, node->column);
    const char *text = toml_text(node, parsed->number_text[i]);
    if (text == NULL) {
        return usage(err, command, where, "bad value", "a text, number or true/false is wanted");
    }
    parsed->value[i].set = true;
    return store(command, parsed, i, text, where, err);
}

tm_status tm_fill_options(const struct tm_command *command, const struct tm_config *config,
                          struct tm_parsed *parsed, struct tm_err *err)
{
    size_t n = count_options(command);
    for (size_t i = 0; i < n; i++) {
        if (parsed->value[i].set) {
            continue;
        }
        char name[64];
        env_name(command->options[i].name, name);
        const char *env = getenv(name);
        if (env != NULL && env[0] != '\0') {
            parsed->value[i].set = true;
            TM_TRY(store(command, parsed, i, env, name, err));
            continue;
        }
        if (config != NULL && config->root != NULL) {
            TM_TRY(from_config(command, parsed, i, config, err));
        }
        if (!parsed->value[i].set && command->options[i].fallback != NULL) {
            TM_TRY(store(command, parsed, i, command->options[i].fallback, name, err));
        }
    }
    return TM_OK;
}

static const struct tm_command *command_named(const struct tm_program *program, const char *name)
{
    for (size_t c = 0; program->commands[c] != NULL; c++) {
        if (strcmp(program->commands[c]->name, name) == 0) {
            return program->commands[c];
        }
    }
    return NULL;
}

static bool is_option(const struct tm_program *program, const char *key)
{
    for (size_t c = 0; program->commands[c] != NULL; c++) {
        if (index_of(program->commands[c], key) != SIZE_MAX) {
            return true;
        }
    }
    return false;
}

/* The node whose key nobody knows: a top-level key that is no option, a table that is no command,
 * or what such a table holds. NULL when all is well. */
static const struct tm_toml *unknown_key(const struct tm_program *program,
                                         const struct tm_toml *node)
{
    if (node->kind != TM_TOML_TABLE) {
        return is_option(program, node->key) ? NULL : node;
    }
    const struct tm_command *command = command_named(program, node->key);
    if (command == NULL) {
        return node;
    }
    for (size_t k = 0; k < node->list.count; k++) {
        if (index_of(command, node->list.items[k]->key) == SIZE_MAX) {
            return node->list.items[k];
        }
    }
    return NULL;
}

static tm_status check_config(const struct tm_program *program, const struct tm_config *config,
                              struct tm_err *err)
{
    const struct tm_toml *root = config->root;
    for (size_t i = 0; i < root->list.count; i++) {
        const struct tm_toml *bad = unknown_key(program, root->list.items[i]);
        if (bad != NULL) {
            char where[TM_PATH_MAX + 32];
            snprintf(where, sizeof where, "%s:%u:%u", config->path, bad->line, bad->column);
            return tm_err_set(err, TM_E_USAGE, where, "unknown key",
                              "keys are the names of options, at the top or in a table named as "
                              "the command",
                              "'%s' is no option", bad->key);
        }
    }
    return TM_OK;
}

tm_status tm_config_load(const struct tm_program *program, struct tm_config *config,
                         struct tm_err *err)
{
    config->root = NULL;
    char dir[TM_PATH_MAX];
    bool found;
    const char *forced = getenv("TMILL_CONFIG");
    if (forced != NULL && forced[0] != '\0') {
        if ((size_t)snprintf(config->path, sizeof config->path, "%s", forced) >=
            sizeof config->path) {
            return tm_err_set(err, TM_E_USAGE, "TMILL_CONFIG", "path too long", NULL,
                              "over %d bytes", TM_PATH_MAX);
        }
    } else {
        /* Without a home there is no configuration, which is no error. */
        if (tm_xdg_dir(TM_XDG_CONFIG, dir, NULL) != TM_OK ||
            tm_path_join(config->path, dir, program->config) != TM_OK) {
            return TM_OK;
        }
        TM_TRY(tm_path_find(config->path, &found, err));
        if (!found) {
            return TM_OK;
        }
    }
    struct tm_buf text;
    tm_buf_init(&text, 1 << 20);
    tm_status status = tm_file_read(config->path, &text, err);
    if (status == TM_OK) {
        status = tm_toml_parse(tm_buf_view(&text), config->path, &config->root, err);
    }
    tm_buf_deinit(&text);
    return status == TM_OK ? check_config(program, config, err) : status;
}

void tm_config_unload(struct tm_config *config)
{
    tm_toml_free(&config->root);
}
