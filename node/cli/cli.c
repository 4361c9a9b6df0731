/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/num.h"

tm_status tm_cli_key_path(const char *given, const char *name, char *out, struct tm_err *err)
{
    if (given != NULL) {
        if (strlen(given) >= TM_PATH_MAX) {
            return tm_err_set(err, TM_E_USAGE, "--key", "path too long", NULL, "over %d bytes",
                              TM_PATH_MAX);
        }
        snprintf(out, TM_PATH_MAX, "%s", given);
        return TM_OK;
    }
    char dir[TM_PATH_MAX], file[128];
    if (!tm_path_name_ok(name, TM_KEY_NAME_MAX)) {
        return tm_err_set(err, TM_E_USAGE, "--name", "bad key name",
                          "use letters, digits, '.', '_' and '-', not starting with '.'; --key "
                          "takes a path",
                          "'%.140s' is no name of at most %d bytes", name, TM_KEY_NAME_MAX);
    }
    TM_TRY(tm_xdg_dir(TM_XDG_CONFIG, dir, err));
    snprintf(file, sizeof file, "%s.key", name);
    return tm_path_join(out, dir, file);
}

tm_status tm_cli_identity(const char *given, const char *name, struct tm_identity **out,
                          struct tm_err *err)
{
    char path[TM_PATH_MAX], dir[TM_PATH_MAX];
    TM_TRY(tm_cli_key_path(given, name, path, err));
    /* A node may get a new key anywhere; an owner's key that is not there is a slip of the pen. */
    bool found;
    TM_TRY(tm_path_find(path, &found, err));
    bool make = !found && (given == NULL || strcmp(name, "node") == 0);
    if (!make) {
        return tm_identity_load(path, out, err);
    }
    TM_TRY(tm_path_dir(dir, path));
    TM_TRY(tm_dir_make(dir, 0700, err));
    TM_TRY(tm_identity_generate(out, err));
    tm_status status = tm_identity_save(*out, path, name, err);
    if (status != TM_OK) {
        tm_identity_destroy(out);
        /* Two commands started together: the other one made it first. */
        if (tm_path_exists(path)) {
            return tm_identity_load(path, out, err);
        }
    }
    return status;
}

void tm_cli_warnings(char *const *warnings, size_t count, bool quiet)
{
    for (size_t i = 0; i < count && !quiet; i++) {
        char line[1024];
        fprintf(stderr, "tmill: warning: %s\n",
                tm_escape(warnings[i], strlen(warnings[i]), line, sizeof line));
    }
}

struct tm_sink tm_cli_sink(const struct tm_parsed *parsed)
{
    enum tm_level level = TM_LEVEL_WARN;
    if (parsed->quiet) {
        level = TM_LEVEL_ERROR;
    } else if (parsed->verbose) {
        level = TM_LEVEL_DEBUG;
    }
    return tm_sink_stream(stderr, level);
}

const char *tm_cli_number(double value, char *out)
{
    return tm_format_short(value, out);
}
