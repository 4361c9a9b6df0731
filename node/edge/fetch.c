/* SPDX-License-Identifier: Apache-2.0 */
#include "node/edge/fetch.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/file.h"
#include "base/mem.h"
#include "node/edge/http_head.h"

#define TRIES 3
#define REDIRECTS_MAX 5L
#define CONNECT_TIMEOUT_S 10L
#define STALL_S 15L /* less than a byte a second for so long ends a try */
/* A try that brought so much before it broke off does not count: a bad line gets a large file in
 * the end, a server that trickles does not hold a device for ever. */
#define PROGRESS_BYTES (64u << 10)
#define PIECE_BYTES (1u << 20) /* of a file in a folder */

struct tm_source {
    char *location; /* without a trailing slash */
    CURL *curl;     /* NULL: a folder */
    const volatile int *stop;
    uint64_t received;
    bool ignores_range;
};

/* What is fetched and where it goes. */
struct request {
    const char *where; /* URL or path */
    uint64_t offset;
    uint64_t bytes; /* UINT64_MAX: to the end */
    tm_source_sink sink;
    void *context;
    uint64_t delivered; /* to the sink so far */
};

/* One try: the wanted window of the body goes to the sink, the rest is dropped. */
struct transfer {
    struct tm_source *source;
    struct request *request;
    struct tm_err *err;
    uint64_t skip;   /* bytes still to drop: a server that ignored Range */
    uint64_t wanted; /* bytes still to come; UINT64_MAX: to the end */
    uint64_t start;  /* what we asked; UINT64_MAX: no range */
    bool complete;   /* all wanted bytes are there: the rest of the body is not waited for */
    bool ranged;     /* a Content-Range came, and it starts where we asked */
    bool elsewhere;  /* a 206 that does not start where we asked */
    tm_status sunk;  /* of the sink */
    long code;
};

bool tm_source_is_url(const char *location)
{
    return strstr(location, "://") != NULL;
}

static bool is_http(const char *location)
{
    return strncmp(location, "http://", 7) == 0 || strncmp(location, "https://", 8) == 0;
}

tm_status tm_source_open(const char *location, const volatile int *stop, struct tm_source **out,
                         struct tm_err *err)
{
    char inside[TM_PATH_MAX];
    bool found = true;
    if (tm_source_is_url(location) && !is_http(location)) {
        return tm_err_set(err, TM_E_USAGE, location, "cannot fetch from there",
                          "give http://, https:// or a folder", "unknown scheme");
    }
    if (!tm_source_is_url(location)) {
        TM_TRY(tm_path_join(inside, location, "."));
        TM_TRY(tm_path_find(inside, &found, err));
    }
    if (!found) {
        return tm_err_set(err, TM_E_NOT_FOUND, location, "cannot fetch from there",
                          "give a URL, or a folder made by tmill publish", "no such folder");
    }
    struct tm_source *source = tm_calloc(1, sizeof *source);
    if (source == NULL) {
        return TM_E_NOMEM;
    }
    source->stop = stop;
    source->location = tm_strdup(location);
    size_t bytes = strlen(location);
    bool failed = source->location == NULL;
    if (!failed && bytes > 1 && location[bytes - 1] == '/') {
        source->location[bytes - 1] = '\0';
    }
    if (!failed && is_http(location) && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK) {
        source->curl = curl_easy_init();
        if (source->curl == NULL) {
            curl_global_cleanup();
        }
    }
    failed = failed || (is_http(location) && source->curl == NULL);
    if (failed) {
        tm_source_close(&source);
        return TM_E_NOMEM;
    }
    *out = source;
    return TM_OK;
}

void tm_source_close(struct tm_source **source)
{
    struct tm_source *s = *source;
    if (s == NULL) {
        return;
    }
    if (s->curl != NULL) {
        curl_easy_cleanup(s->curl);
        curl_global_cleanup(); /* of the init of this source: curl counts them */
    }
    tm_free(s->location);
    tm_free(s);
    *source = NULL;
}

bool tm_source_ignores_range(const struct tm_source *source)
{
    return source->ignores_range;
}

uint64_t tm_source_received(const struct tm_source *source)
{
    return source->received;
}

/* A range must begin where we asked. */
static size_t on_header(char *data, size_t size, size_t count, void *context)
{
    struct transfer *t = context;
    struct tm_view line = tm_view_of(data, size * count);
    bool known = false;
    uint64_t start = 0;
    if (tm_http_is_status_line(line)) {
        t->ranged = false;
    } else if (tm_http_content_range(line, &known, &start)) {
        t->ranged = known && start == t->start;
    }
    return size * count;
}

/* What is wanted of a piece of the body: *use bytes from the returned place. */
static const char *wanted_part(struct transfer *t, const char *data, size_t *use)
{
    size_t drop = t->skip < *use ? (size_t)t->skip : *use;
    t->skip -= drop;
    *use -= drop;
    if (t->wanted != UINT64_MAX && *use > t->wanted) {
        *use = (size_t)t->wanted;
    }
    return data + drop;
}

/* Returning another number than came ends the transfer. */
static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    struct transfer *t = context;
    struct request *r = t->request;
    size_t bytes = size * count, use = bytes;
    t->source->received += bytes;
    curl_easy_getinfo(t->source->curl, CURLINFO_RESPONSE_CODE, &t->code);
    if (t->code != 200 && t->code != 206) {
        return 0; /* nobody's data */
    }
    if (t->code == 206) {
        t->elsewhere = !t->ranged;
        if (t->elsewhere) {
            return 0;
        }
        t->skip = 0;
    } else if (t->start != UINT64_MAX) {
        t->source->ignores_range = true;
    }
    if (t->complete) {
        return 0; /* more than we asked for */
    }
    uint64_t dropped = t->skip;
    const char *at = wanted_part(t, data, &use);
    dropped -= t->skip;
    t->sunk = use > 0 ? r->sink(r->context, (const uint8_t *)at, use, t->err) : TM_OK;
    if (t->sunk != TM_OK) {
        return 0;
    }
    r->delivered += use;
    if (t->wanted != UINT64_MAX) {
        t->wanted -= use;
        t->complete = t->wanted == 0;
    }
    return use + dropped;
}

static int on_progress(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct tm_source *source = context;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return source->stop != NULL && *source->stop != 0;
}

static CURLcode set_options(struct tm_source *source, const char *url, const char *range,
                            struct transfer *t, char *message)
{
    CURL *c = source->curl;
    curl_easy_reset(c);                                  /* keeps the connection */
    CURLcode rc = curl_easy_setopt(c, CURLOPT_URL, url); /* these two are copied */
    if (rc == CURLE_OK) {
        rc = curl_easy_setopt(c, CURLOPT_RANGE, range);
    }
    curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L); /* an error page is not waited for */
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(c, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, STALL_S);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "tmill-edge/" TMILL_VERSION);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, source);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, message);
    return rc;
}

static void wait_before_retry(const struct tm_source *source, int attempt)
{
    for (int i = 0; i < 5 << attempt; i++) {
        struct timespec tenth = {0, 100000000L};
        if (source->stop != NULL && *source->stop != 0) {
            return;
        }
        nanosleep(&tenth, NULL);
    }
}

static const char retry_hint[] = "check the address and the network, then run the command again";

static tm_status judge_code(long code, const char *url, bool *again, struct tm_err *err)
{
    switch (code) {
    case 404:
    case 410:
        return tm_err_set(err, TM_E_NOT_FOUND, url, "not there", "check the address and the name",
                          "the server says %ld", code);
    case 416:
        return tm_err_set(err, TM_E_MALFORMED, url, "file too short", "ask the publisher",
                          "the server says that it ends before the bytes that are needed");
    case 408:
    case 429:
        *again = true;
        break;
    default:
        *again = code >= 500;
    }
    return tm_err_set(err, TM_E_NETWORK, url, "refused", retry_hint, "the server says %ld", code);
}

/* An answer that ended well but does not have all that was asked for. */
static tm_status judge_short(const struct transfer *t, const char *url, bool *again,
                             struct tm_err *err)
{
    curl_off_t whole = -1;
    curl_easy_getinfo(t->source->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &whole);
    if (t->code == 200 && whole >= 0) {
        return tm_err_set(err, TM_E_MALFORMED, url, "file too short", "ask the publisher",
                          "it has %llu bytes, %llu more are needed", (unsigned long long)whole,
                          (unsigned long long)(t->skip + t->wanted));
    }
    *again = true; /* without a length nobody knows whether it was cut */
    return tm_err_set(err, TM_E_NETWORK, url, "cannot fetch", retry_hint,
                      "the answer ended %llu bytes early", (unsigned long long)t->wanted);
}

static tm_status judge_curl(CURLcode rc, const char *url, const char *message, bool *again,
                            struct tm_err *err)
{
    switch (rc) {
    case CURLE_ABORTED_BY_CALLBACK:
        return tm_err_set(err, TM_E_STOPPED, url, "stopped",
                          "run the command again: what came is kept", "asked to stop");
    case CURLE_TOO_MANY_REDIRECTS:
        return tm_err_set(err, TM_E_NETWORK, url, "cannot fetch", retry_hint,
                          "too many redirects: the server redirects in a circle");
    case CURLE_UNSUPPORTED_PROTOCOL:
        return tm_err_set(err, TM_E_NETWORK, url, "cannot fetch", retry_hint,
                          "a redirect to an address that is neither http nor https");
    case CURLE_OUT_OF_MEMORY:
        return TM_E_NOMEM;
    case CURLE_URL_MALFORMAT:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        break;
    default:
        *again = true;
    }
    return tm_err_set(err, TM_E_NETWORK, url, "cannot fetch", retry_hint, "%s",
                      message[0] != '\0' ? message : curl_easy_strerror(rc));
}

/* What a finished transfer means; *again when another try may help. */
static tm_status judge(const struct transfer *t, CURLcode rc, const char *url, const char *message,
                       bool *again, struct tm_err *err)
{
    *again = false;
    bool ended = rc == CURLE_OK && (t->code == 200 || (t->code == 206 && !t->elsewhere));
    if (t->complete || (ended && t->wanted == UINT64_MAX && t->skip == 0)) {
        return TM_OK;
    }
    if (t->sunk != TM_OK) {
        return t->sunk;
    }
    if (t->elsewhere) {
        return tm_err_set(err, TM_E_NETWORK, url, "cannot fetch", retry_hint,
                          "the server answers with another range than was asked");
    }
    if (rc == CURLE_HTTP_RETURNED_ERROR || (rc == CURLE_WRITE_ERROR && t->code != 200)) {
        return judge_code(t->code, url, again, err);
    }
    if (rc == CURLE_OK) {
        return t->code == 200 || t->code == 206 ? judge_short(t, url, again, err)
                                                : judge_code(t->code, url, again, err);
    }
    return judge_curl(rc, url, message, again, err);
}

/* One try; a try that broke off goes on where it ended. */
static tm_status http_try(struct tm_source *source, struct request *r, bool *again,
                          struct tm_err *err)
{
    char message[CURL_ERROR_SIZE] = "", range[64];
    bool whole = r->bytes == UINT64_MAX;
    uint64_t start = r->offset + r->delivered;
    struct transfer t = {.source = source,
                         .request = r,
                         .err = err,
                         .skip = start,
                         .start = whole && start == 0 ? UINT64_MAX : start,
                         .wanted = whole ? UINT64_MAX : r->bytes - r->delivered};
    int n = snprintf(range, sizeof range, "%llu-", (unsigned long long)start);
    if (!whole) {
        snprintf(range + n, sizeof range - (size_t)n, "%llu",
                 (unsigned long long)(r->offset + r->bytes - 1));
    }
    const char *wanted = t.start == UINT64_MAX ? NULL : range;
    CURLcode rc = set_options(source, r->where, wanted, &t, message);
    if (rc == CURLE_OK) {
        rc = curl_easy_perform(source->curl);
    }
    curl_easy_getinfo(source->curl, CURLINFO_RESPONSE_CODE, &t.code);
    return judge(&t, rc, r->where, message, again, err);
}

static tm_status http_get(struct tm_source *source, struct request *r, struct tm_err *err)
{
    bool again = true;
    tm_status status = TM_E_NETWORK;
    for (int attempt = 0; attempt < TRIES && again; attempt++) {
        uint64_t before = r->delivered;
        if (attempt > 0) {
            wait_before_retry(source, attempt);
        }
        status = http_try(source, r, &again, err);
        if (r->delivered - before >= PROGRESS_BYTES) {
            attempt = 0; /* the next is a first retry */
        }
    }
    return status;
}

static tm_status folder_pieces(struct tm_source *source, struct request *r, struct tm_file_in *file,
                               uint8_t *piece, struct tm_err *err)
{
    while (r->delivered < r->bytes) {
        uint64_t left = r->bytes - r->delivered;
        size_t n = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
        if (source->stop != NULL && *source->stop != 0) {
            return tm_err_set(err, TM_E_STOPPED, r->where, "stopped",
                              "run the command again: what came is kept", "asked to stop");
        }
        TM_TRY(tm_file_read_at(file, r->offset + r->delivered, piece, n, err));
        TM_TRY(r->sink(r->context, piece, n, err));
        r->delivered += n;
        source->received += n;
    }
    return TM_OK;
}

static tm_status folder_get(struct tm_source *source, struct request *r, struct tm_err *err)
{
    struct tm_file_in *file = NULL;
    TM_TRY(tm_file_open(r->where, &file, err));
    uint64_t have = tm_file_bytes(file);
    tm_status status;
    if (r->bytes == UINT64_MAX) {
        r->bytes = have;
    }
    if (r->offset > have || r->bytes > have - r->offset) {
        status = tm_err_set(err, TM_E_MALFORMED, r->where, "file too short",
                            "copy the repository again", "%llu bytes, %llu expected",
                            (unsigned long long)have, (unsigned long long)(r->offset + r->bytes));
    } else {
        uint8_t *piece = tm_alloc(PIECE_BYTES);
        status = piece != NULL ? folder_pieces(source, r, file, piece, err) : TM_E_NOMEM;
        tm_free(piece);
    }
    tm_file_close(&file);
    return status;
}

static tm_status get(struct tm_source *source, const char *path, struct request *r,
                     struct tm_err *err)
{
    char full[TM_PATH_MAX];
    if (tm_path_join(full, source->location, path) != TM_OK) {
        return tm_err_set(err, TM_E_USAGE, source->location, "cannot fetch from there", NULL,
                          "the address is longer than %d bytes", TM_PATH_MAX);
    }
    if (r->bytes == 0) {
        return TM_OK;
    }
    r->where = full;
    tm_status status = source->curl != NULL ? http_get(source, r, err) : folder_get(source, r, err);
    if (status != TM_OK && err != NULL && err->where[0] == '\0') {
        tm_err_prefix(err, full); /* a sink does not know where its bytes come from */
    }
    r->where = NULL; /* full ends here */
    return status;
}

tm_status tm_source_stream(struct tm_source *source, const char *path, uint64_t offset,
                           uint64_t bytes, tm_source_sink sink, void *context, struct tm_err *err)
{
    TM_ASSERT(bytes != UINT64_MAX);
    struct request r = {.offset = offset, .bytes = bytes, .sink = sink, .context = context};
    return get(source, path, &r, err);
}

static tm_status to_buf(void *context, const uint8_t *data, size_t bytes, struct tm_err *err)
{
    tm_status status = tm_buf_put(context, data, bytes);
    if (status == TM_E_LIMIT) {
        return tm_err_set(err, TM_E_MALFORMED, NULL, "too large", "ask the publisher",
                          "the file has more bytes than such a file may have");
    }
    return status;
}

tm_status tm_source_range(struct tm_source *source, const char *path, uint64_t offset,
                          uint64_t bytes, struct tm_buf *out, struct tm_err *err)
{
    return tm_source_stream(source, path, offset, bytes, to_buf, out, err);
}

tm_status tm_source_file(struct tm_source *source, const char *path, uint64_t max,
                         struct tm_buf *out, struct tm_err *err)
{
    struct tm_buf text;
    tm_buf_init(&text, max);
    struct request r = {.bytes = UINT64_MAX, .sink = to_buf, .context = &text};
    tm_status status = get(source, path, &r, err);
    if (status == TM_OK) {
        status = tm_buf_put(out, text.data, text.bytes);
    }
    tm_buf_deinit(&text);
    return status;
}
