/* SPDX-License-Identifier: Apache-2.0
 * Command lines from const tables: the same table parses, prints help with examples and refuses
 * what it does not know. A value comes from the flag, else the environment (TMILL_<NAME>), else the
 * configuration file ($XDG_CONFIG_HOME/tmill/config.toml or edge.toml, table of the command or top
 * level), else the default. Repeated and unknown options are errors; `--` ends options;
 * `--name=value` and
 * `--name value` both work. */
#ifndef TM_NODE_OPTIONS_H
#define TM_NODE_OPTIONS_H

#include "base/status.h"

struct tm_parsed;

enum tm_option_kind { TM_OPT_FLAG, TM_OPT_TEXT, TM_OPT_U64, TM_OPT_SIZE, TM_OPT_CHOICE };

struct tm_option {
    const char *name; /* "recipe": --recipe */
    char letter;      /* 'o' for -o, 0 for none */
    enum tm_option_kind kind;
    const char *value_name; /* "NAME" in help */
    const char *choices;    /* "gguf|safetensors" for TM_OPT_CHOICE */
    const char *fallback;   /* default as text, or NULL */
    const char *help;       /* one line */
};

struct tm_command {
    const char *name;      /* "compress" */
    const char *arguments; /* "MODEL" or "PKG [FILE]"; "" for none */
    unsigned min_arguments, max_arguments;
    const char *summary;             /* one line for the list of commands */
    const char *details;             /* paragraph(s) for --help; may be NULL */
    const char *examples;            /* lines for --help */
    const struct tm_option *options; /* ends with name == NULL; --json -q -v --help are added */
    tm_status (*run)(const struct tm_command *command, const struct tm_parsed *parsed,
                     struct tm_err *err);
};

#define TM_OPTIONS_MAX 32
#define TM_ARGUMENTS_MAX 16
struct tm_parsed {
    const char *arguments[TM_ARGUMENTS_MAX];
    unsigned argument_count;
    bool json, quiet, verbose, help;
    struct {
        const char *text; /* NULL: absent without default */
        uint64_t number;
        bool set;                         /* given by flag, environment or file (not the default) */
    } value[TM_OPTIONS_MAX];              /* as in command->options */
    char number_text[TM_OPTIONS_MAX][64]; /* texts of numbers from the configuration */
};

/* Value of an option by name; asserts that the command has it. */
const char *tm_opt_text(const struct tm_command *command, const struct tm_parsed *parsed,
                        const char *name);
uint64_t tm_opt_u64(const struct tm_command *command, const struct tm_parsed *parsed,
                    const char *name);
bool tm_opt_flag(const struct tm_command *command, const struct tm_parsed *parsed,
                 const char *name);

#endif
