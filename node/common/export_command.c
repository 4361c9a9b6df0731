/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/export_command.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/num.h"
#include "node/common/envelope.h"
#include "node/common/program.h"

static enum tm_export_type type_of(const char *text)
{
    if (strcmp(text, "f32") == 0) {
        return TM_EXPORT_F32;
    }
    if (strcmp(text, "f16") == 0) {
        return TM_EXPORT_F16;
    }
    return strcmp(text, "bf16") == 0 ? TM_EXPORT_BF16 : TM_EXPORT_KEEP;
}

static tm_status print_done(const char *path, bool json, struct tm_err *err)
{
    struct tm_file_in *file = NULL;
    char bytes[TM_NUM_TEXT], text[TM_PATH_MAX];
    TM_TRY(tm_file_open(path, &file, err));
    uint64_t size = tm_file_bytes(file);
    tm_file_close(&file);
    if (!json) {
        printf("wrote %s, %s\n", tm_escape(path, strlen(path), text, sizeof text),
               tm_format_bytes(size, bytes));
        return TM_OK;
    }
    struct tm_envelope out;
    tm_envelope_begin(&out, "tmill.export/1");
    tm_jw_str(&out.jw, "path", path);
    tm_jw_u64(&out.jw, "bytes", size);
    return tm_envelope_end(&out, NULL, 0, err);
}

tm_status tm_export_run(const struct tm_command *command, const struct tm_parsed *parsed,
                        const char *package_path, struct tm_err *err)
{
    const char *format = tm_opt_text(command, parsed, "format");
    const char *out = tm_opt_text(command, parsed, "output");
    if (format == NULL || out == NULL) {
        return tm_err_set(err, TM_E_USAGE, format == NULL ? "--format" : "--output",
                          "missing option", "e.g. --format gguf -o model.gguf",
                          "an export needs a format and a file");
    }
    struct tm_export_options options = {
        .package_path = package_path,
        .out_path = out,
        .format = strcmp(format, "gguf") == 0 ? TM_FORMAT_GGUF : TM_FORMAT_SAFETENSORS,
        .type = type_of(tm_opt_text(command, parsed, "type")),
        .quiet = parsed->quiet,
        .stop = &tm_stop_signal,
    };
    TM_TRY(tm_export(&options, err));
    return print_done(out, parsed->json, err);
}
