/* SPDX-License-Identifier: Apache-2.0 */
#include "base/progress.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"

#define BUCKETS 10
#define REDRAW_MS 100 /* on a terminal */
#define LINE_MS 10000 /* elsewhere */
#define BAR_MIN 10
#define BAR_MAX 32
#define PIECE_BYTES 64
#define LINE_BYTES 512
#define WIDTH_DEFAULT 80

struct tm_progress {
    char label[PIECE_BYTES];
    char item_name[PIECE_BYTES];
    char note[PIECE_BYTES];
    uint64_t total;
    uint64_t done;
    enum tm_progress_unit unit;
    FILE *stream;
    struct tm_clock clock;
    bool quiet;
    bool terminal;
    bool colour;
    bool drawn;   /* a bar stands on the current line */
    bool printed; /* something was printed before */
    uint64_t start_ms;
    uint64_t printed_ms;
    uint64_t second; /* of the newest bucket, since start */
    uint64_t buckets[BUCKETS];
};

/* Where a bar stands, in the words of whoever drew last; changed under the lock of that stream. */
static _Atomic(FILE *) bar_stream;

/* ---- rate ---- */

static uint64_t elapsed_ms(const struct tm_progress *p)
{
    uint64_t now = tm_clock_ms(&p->clock);
    return now > p->start_ms ? now - p->start_ms : 0;
}

/* Empties the buckets of the seconds that passed since the newest one. */
static void advance(struct tm_progress *p, uint64_t second)
{
    if (second >= p->second + BUCKETS) {
        memset(p->buckets, 0, sizeof p->buckets);
        p->second = second;
    }
    while (p->second < second) {
        p->second++;
        p->buckets[p->second % BUCKETS] = 0;
    }
}

double tm_progress_rate(const struct tm_progress *progress)
{
    if (progress == NULL) {
        return 0;
    }
    struct tm_progress p = *progress;
    uint64_t now = elapsed_ms(&p);
    advance(&p, now / 1000);
    uint64_t first = p.second >= BUCKETS - 1 ? p.second - (BUCKETS - 1) : 0;
    uint64_t window_ms = now - first * 1000;
    uint64_t sum = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        sum += p.buckets[i];
    }
    return window_ms > 0 ? (double)sum * 1000 / (double)window_ms : 0;
}

/* ---- the pieces of a line ---- */

static void format_amount(const struct tm_progress *p, uint64_t amount, char out[TM_NUM_TEXT])
{
    if (p->unit == TM_PROGRESS_BYTES) {
        tm_format_bytes(amount, out);
    } else {
        snprintf(out, TM_NUM_TEXT, "%" PRIu64, amount);
    }
}

/* "2.1 units/s", "35.1 MiB/s"; integers only, so that no locale matters. */
static void format_rate(const struct tm_progress *p, double rate, char out[2 * PIECE_BYTES])
{
    if (p->unit == TM_PROGRESS_BYTES) {
        char amount[TM_NUM_TEXT];
        snprintf(out, 2 * PIECE_BYTES, "%s/s", tm_format_bytes((uint64_t)rate, amount));
        return;
    }
    uint64_t hundredths = (uint64_t)(rate * 100 + 0.5);
    if (rate < 1) {
        snprintf(out, 2 * PIECE_BYTES, "0.%02" PRIu64 " %s/s", hundredths < 100 ? hundredths : 99,
                 p->item_name);
    } else {
        uint64_t tenths = (hundredths + 5) / 10;
        snprintf(out, 2 * PIECE_BYTES, "%" PRIu64 ".%" PRIu64 " %s/s", tenths / 10, tenths % 10,
                 p->item_name);
    }
}

/* "8s", "4m08s", "2h05m", "3d04h". */
static void format_seconds(uint64_t s, char out[TM_NUM_TEXT])
{
    if (s < 60) {
        snprintf(out, TM_NUM_TEXT, "%" PRIu64 "s", s);
    } else if (s < 3600) {
        snprintf(out, TM_NUM_TEXT, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
    } else if (s < 86400) {
        snprintf(out, TM_NUM_TEXT, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
    } else {
        snprintf(out, TM_NUM_TEXT, "%" PRIu64 "d%02" PRIu64 "h", s / 86400, s / 3600 % 24);
    }
}

static unsigned percent_of(const struct tm_progress *p)
{
    /* Down, so that 100 means all. */
    return p->done >= p->total ? 100 : (unsigned)((double)p->done / (double)p->total * 100);
}

/* "823/1344 units  2.1 units/s  ETA 4m08s", at the end "... in 10m20s". */
static void format_figures(const struct tm_progress *p, bool final, char *out, size_t out_bytes)
{
    char done[TM_NUM_TEXT];
    char total[TM_NUM_TEXT] = "";
    char rate_text[2 * PIECE_BYTES];
    char time[TM_NUM_TEXT];
    uint64_t ms = elapsed_ms(p);
    double whole_rate = ms > 0 ? (double)p->done * 1000 / (double)ms : 0;
    double rate = final ? whole_rate : tm_progress_rate(p);
    format_amount(p, p->done, done);
    format_amount(p, p->total, total);
    format_rate(p, rate, rate_text);
    int length = snprintf(out, out_bytes, "%s%s%s%s%s  %s", done, p->total > 0 ? "/" : "",
                          p->total > 0 ? total : "", p->unit == TM_PROGRESS_ITEMS ? " " : "",
                          p->unit == TM_PROGRESS_ITEMS ? p->item_name : "", rate_text);
    if (length < 0 || (size_t)length >= out_bytes) {
        return;
    }
    if (final) {
        format_seconds(ms / 1000, time);
        snprintf(out + length, out_bytes - (size_t)length, "  in %s", time);
    } else if (p->total > p->done && rate > 0) {
        double left = (double)(p->total - p->done) / rate;
        format_seconds(left < 1e12 ? (uint64_t)(left + 0.5) : (uint64_t)1e12, time);
        snprintf(out + length, out_bytes - (size_t)length, "  ETA %s", time);
    }
}

static void format_bar(const struct tm_progress *p, size_t cells, char *out)
{
    size_t full =
        p->done >= p->total ? cells : (size_t)((double)p->done / (double)p->total * (double)cells);
    for (size_t i = 0; i < cells; i++) {
        out[i] = i < full ? '#' : i == full ? '>' : '.';
    }
    out[cells] = '\0';
}

static unsigned width_of(FILE *stream)
{
    struct winsize size;
    uint64_t columns = 0;
    const char *variable = getenv("COLUMNS");
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        return size.ws_col;
    }
    if (variable != NULL && tm_parse_u64(tm_view_str(variable), &columns) == TM_OK && columns > 0 &&
        columns < 10000) {
        return (unsigned)columns;
    }
    return WIDTH_DEFAULT;
}

/* The line for a terminal: what does not fit is left out, note first, then the bar, then the end.
 */
static void format_line(const struct tm_progress *p, bool final, unsigned width, char *out)
{
    char figures[LINE_BYTES / 2];
    char percent[8] = "";
    char bar[BAR_MAX + 1] = "";
    size_t room = width > 1 ? width - 1 : 1; /* the last column would wrap on some terminals */
    room = room < LINE_BYTES - 1 ? room : LINE_BYTES - 1;
    format_figures(p, final, figures, sizeof figures);
    if (p->total > 0) {
        snprintf(percent, sizeof percent, " %3u%%", percent_of(p));
    }
    size_t used = strlen(p->label) + strlen(percent) + 2 + strlen(figures);
    if (p->total > 0 && used + BAR_MIN + 3 <= room) {
        size_t cells = room - used - 3;
        format_bar(p, cells < BAR_MAX ? cells : BAR_MAX, bar);
    }
    used += bar[0] != '\0' ? strlen(bar) + 3 : 0;
    bool note = p->note[0] != '\0' && !final && used + 2 + strlen(p->note) <= room;
    char line[LINE_BYTES];
    snprintf(line, sizeof line, "%s%s%s%s%s  %s%s%s", p->label, percent, bar[0] != '\0' ? " [" : "",
             bar, bar[0] != '\0' ? "]" : "", figures, note ? "  " : "", note ? p->note : "");
    snprintf(out, room + 1, "%s", line);
}

/* ---- printing ---- */

static void draw(struct tm_progress *p, bool final)
{
    char line[LINE_BYTES];
    format_line(p, final, width_of(p->stream), line);
    size_t label = strlen(p->label) < strlen(line) ? strlen(p->label) : strlen(line);
    flockfile(p->stream);
    fprintf(p->stream, "\r\x1b[K%s%.*s%s%s%s", p->colour ? "\x1b[1;36m" : "", (int)label, line,
            p->colour ? "\x1b[0m" : "", line + label, final ? "\n" : "");
    atomic_store(&bar_stream, final ? NULL : p->stream);
    funlockfile(p->stream);
    p->drawn = true;
}

static void print_line(struct tm_progress *p, bool final)
{
    char figures[LINE_BYTES / 2];
    format_figures(p, final, figures, sizeof figures);
    if (p->total > 0) {
        fprintf(p->stream, "%s %3u%%  %s", p->label, percent_of(p), figures);
    } else {
        fprintf(p->stream, "%s  %s", p->label, figures);
    }
    fprintf(p->stream, "%s%s\n", p->note[0] != '\0' && !final ? "  " : "", !final ? p->note : "");
}

static void show(struct tm_progress *p, bool final)
{
    if (p->terminal) {
        draw(p, final);
    } else {
        print_line(p, final);
    }
    fflush(p->stream);
    p->printed = true;
    p->printed_ms = tm_clock_ms(&p->clock);
}

static bool is_set(const char *variable)
{
    const char *value = getenv(variable);
    return value != NULL && value[0] != '\0';
}

struct tm_progress *tm_progress_new(const struct tm_progress_options *options)
{
    struct tm_progress *p = tm_calloc(1, sizeof *p);
    if (p == NULL) {
        return NULL;
    }
    const char *label = options->label != NULL ? options->label : "";
    const char *item = options->item_name != NULL ? options->item_name : "items";
    const char *term = getenv("TERM");
    tm_escape(label, strlen(label), p->label, sizeof p->label);
    tm_escape(item, strlen(item), p->item_name, sizeof p->item_name);
    p->total = options->total;
    p->unit = options->unit;
    p->quiet = options->quiet;
    p->stream = options->stream != NULL ? options->stream : stderr;
    p->clock = options->clock != NULL ? *options->clock : *tm_clock_os();
    p->terminal = isatty(fileno(p->stream)) == 1 && (term == NULL || strcmp(term, "dumb") != 0);
    p->colour = p->terminal && !is_set("NO_COLOR");
    p->start_ms = tm_clock_ms(&p->clock);
    p->printed_ms = p->start_ms;
    return p;
}

void tm_progress_update(struct tm_progress *p, uint64_t done, const char *note)
{
    if (p == NULL) {
        return;
    }
    uint64_t ms = elapsed_ms(p);
    advance(p, ms / 1000);
    if (done > p->done) {
        p->buckets[p->second % BUCKETS] += done - p->done;
        p->done = done;
    }
    tm_escape(note != NULL ? note : "", note != NULL ? strlen(note) : 0, p->note, sizeof p->note);
    if (p->quiet) {
        return;
    }
    uint64_t since = p->start_ms + ms - p->printed_ms;
    bool due = p->terminal ? !p->drawn || since >= REDRAW_MS : since >= LINE_MS;
    if (due) {
        show(p, false);
    }
}

void tm_progress_clear(FILE *stream)
{
    FILE *drawn = stream;
    if (atomic_compare_exchange_strong(&bar_stream, &drawn, NULL)) {
        fputs("\r\x1b[K", stream);
    }
}

void tm_progress_pause(struct tm_progress *p)
{
    if (p != NULL && p->drawn) {
        flockfile(p->stream);
        tm_progress_clear(p->stream);
        fflush(p->stream);
        funlockfile(p->stream);
        p->drawn = false;
    }
}

void tm_progress_finish(struct tm_progress **progress)
{
    struct tm_progress *p = *progress;
    if (p == NULL) {
        return;
    }
    /* Who printed nothing so far ends silently too: when the command fails later, its error is
     * the one line on stderr. */
    if (!p->quiet && p->printed) {
        show(p, true);
    }
    tm_free(p);
    *progress = NULL;
}
