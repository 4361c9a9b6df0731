/* SPDX-License-Identifier: Apache-2.0 */
#include "base/event.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/progress.h"
#include "base/utf8.h"

#define LINE_MAX_BYTES (64 * 1024)

void tm_event(const struct tm_sink *sink, enum tm_level level, const char *event,
              const struct tm_field *fields, size_t count)
{
    if (sink != NULL && sink->emit != NULL && level >= sink->min_level) {
        sink->emit(sink->context, level, event, fields, count);
    }
}

static const char *level_name(enum tm_level level)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    TM_ASSERT((unsigned)level < sizeof names / sizeof names[0]);
    return names[level];
}

/* "2026-01-31T12:34:56.789Z", UTC. */
static void format_now(char out[32])
{
    struct timespec now = {0};
    struct tm t = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &t);
    snprintf(out, 32, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (t.tm_year + 1900) % 10000,
             (t.tm_mon + 1) % 100, t.tm_mday % 100, t.tm_hour % 100, t.tm_min % 100, t.tm_sec % 100,
             (int)(now.tv_nsec / 1000000) % 1000);
}

static bool is_plain(const char *text)
{
    if (text[0] == '\0') {
        return false;
    }
    for (const char *at = text; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~' || *at == '"' || *at == '=' || *at == '\\') {
            return false;
        }
    }
    return true;
}

/* One character of a quoted value; control characters and invalid bytes as \xNN. Returns its
 * length in text. */
static tm_status put_quoted_char(struct tm_buf *out, const char *text, size_t left, size_t *length)
{
    uint32_t code = 0;
    *length = tm_utf8_decode(text, left, &code);
    if (*length == 1 && (code == '"' || code == '\\')) {
        TM_TRY(tm_buf_put_u8(out, '\\'));
    }
    if (*length > 0 && !tm_utf8_is_control(code)) {
        return tm_buf_put(out, text, *length);
    }
    *length = *length > 0 ? *length : 1;
    for (size_t i = 0; i < *length; i++) {
        TM_TRY(tm_buf_printf(out, "\\x%02x", (unsigned)(uint8_t)text[i]));
    }
    return TM_OK;
}

static tm_status put_text(struct tm_buf *out, const char *text)
{
    if (is_plain(text)) {
        return tm_buf_put_str(out, text);
    }
    TM_TRY(tm_buf_put_u8(out, '"'));
    size_t bytes = strlen(text);
    size_t length = 0;
    for (size_t at = 0; at < bytes; at += length) {
        TM_TRY(put_quoted_char(out, text + at, bytes - at, &length));
    }
    return tm_buf_put_u8(out, '"');
}

static tm_status put_line(struct tm_buf *out, enum tm_level level, const char *event,
                          const struct tm_field *fields, size_t count)
{
    char now[32];
    format_now(now);
    TM_TRY(tm_buf_printf(out, "ts=%s level=%s event=%s", now, level_name(level), event));
    for (size_t i = 0; i < count; i++) {
        TM_TRY(tm_buf_printf(out, " %s=", fields[i].key));
        if (fields[i].text != NULL) {
            TM_TRY(put_text(out, fields[i].text));
        } else {
            TM_TRY(tm_buf_printf(out, "%" PRIu64, fields[i].number));
        }
    }
    return TM_OK;
}

tm_status tm_event_format(struct tm_buf *out, enum tm_level level, const char *event,
                          const struct tm_field *fields, size_t count)
{
    size_t before = out->bytes;
    tm_status status = put_line(out, level, event, fields, count);
    if (status != TM_OK) {
        out->bytes = before;
    }
    return status;
}

static void emit_to_stream(void *context, enum tm_level level, const char *event,
                           const struct tm_field *fields, size_t count)
{
    FILE *stream = context;
    struct tm_buf line;
    tm_buf_init(&line, LINE_MAX_BYTES);
    tm_status status = tm_event_format(&line, level, event, fields, count);
    flockfile(stream);
    tm_progress_clear(stream);
    if (status == TM_OK) {
        fwrite(line.data, 1, line.bytes, stream);
        putc('\n', stream);
    } else { /* no memory or an oversized field: the event itself is still told */
        char now[32];
        format_now(now);
        fprintf(stream, "ts=%s level=%s event=%s truncated=1\n", now, level_name(level), event);
    }
    fflush(stream);
    funlockfile(stream);
    tm_buf_deinit(&line);
}

struct tm_sink tm_sink_stream(FILE *stream, enum tm_level min_level)
{
    return (struct tm_sink){.emit = emit_to_stream, .context = stream, .min_level = min_level};
}
