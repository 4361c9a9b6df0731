/* SPDX-License-Identifier: Apache-2.0 */
#include "node/common/envelope.h"

#include <errno.h>
#include <stdio.h>

#include "base/file.h"

static void begin(struct tm_envelope *envelope, const char *schema, bool list)
{
    tm_buf_init(&envelope->text, (size_t)1 << 30);
    tm_jw_begin(&envelope->jw, &envelope->text, true);
    tm_jw_object(&envelope->jw, NULL);
    tm_jw_str(&envelope->jw, "schema", schema);
    envelope->list = list;
    if (list) {
        tm_jw_array(&envelope->jw, "data");
    } else {
        tm_jw_object(&envelope->jw, "data");
    }
}

void tm_envelope_begin(struct tm_envelope *envelope, const char *schema)
{
    begin(envelope, schema, false);
}

void tm_envelope_begin_list(struct tm_envelope *envelope, const char *schema)
{
    begin(envelope, schema, true);
}

tm_status tm_envelope_end(struct tm_envelope *envelope, char *const *warnings, size_t warning_count,
                          struct tm_err *err)
{
    struct tm_jw *jw = &envelope->jw;
    if (envelope->list) {
        tm_jw_array_end(jw);
    } else {
        tm_jw_object_end(jw);
    }
    tm_jw_array(jw, "warnings");
    for (size_t i = 0; i < warning_count; i++) {
        tm_jw_str(jw, NULL, warnings[i]);
    }
    tm_jw_array_end(jw);
    tm_jw_object_end(jw);
    tm_status status = tm_jw_end(jw);
    if (status == TM_OK) {
        status = tm_buf_put_str(&envelope->text, "\n");
    }
    const struct tm_buf *text = &envelope->text;
    if (status == TM_OK && fwrite(text->data, 1, text->bytes, stdout) != text->bytes) {
        status = tm_err_set_os(err, errno, "standard output", "cannot write");
    }
    tm_envelope_drop(envelope);
    return status;
}

void tm_envelope_drop(struct tm_envelope *envelope)
{
    tm_buf_deinit(&envelope->text);
}
