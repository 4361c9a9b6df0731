/* SPDX-License-Identifier: Apache-2.0
 * A small HTTP/1.1 server on loopback, in a thread of the test, that serves the bytes of one folder
 * and misbehaves as told. One request a connection. */
#ifndef TM_TESTS_HTTP_SERVER_H
#define TM_TESTS_HTTP_SERVER_H

#include <arpa/inet.h>
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum http_fault {
    HTTP_GOOD,          /* 206 for a Range, 404 for what is not there */
    HTTP_IGNORE_RANGE,  /* always 200 and the whole file */
    HTTP_CUT_ONCE,      /* the first answer breaks off in the middle */
    HTTP_CUT_ALWAYS,    /* every answer breaks off, the later ones at once */
    HTTP_ERROR_ONCE,    /* 503, then good */
    HTTP_FORBIDDEN,     /* 403 */
    HTTP_REDIRECT_LOOP, /* 302 to itself */
    HTTP_REDIRECT_FILE, /* 302 to file:///etc/passwd */
    HTTP_WEB_PAGE,      /* 200 and a page, whatever is asked */
    HTTP_SHIFTED_RANGE, /* 206, but from byte 0 */
    HTTP_NO_PLACE,      /* 206 without Content-Range */
    HTTP_CUT_LATE,      /* every answer breaks off after 70000 bytes */
    HTTP_ENDLESS,       /* what was asked, and more that never ends */
    HTTP_ENDLESS_ERROR, /* 404 with a page that never ends */
    HTTP_STALL          /* half of it, then silence */
};

struct http_server {
    int fd;
    unsigned port;
    char dir[256], url[64];
    enum http_fault fault;
    atomic_uint requests;
    pthread_t thread;
};

static inline void http_write(int fd, const void *data, size_t bytes)
{
    const char *at = data;
    while (bytes > 0) {
        ssize_t n = send(fd, at, bytes, MSG_NOSIGNAL);
        if (n <= 0) {
            return;
        }
        at += n;
        bytes -= (size_t)n;
    }
}

static inline void http_status(int fd, const char *status, const char *more)
{
    char head[512];
    int n =
        snprintf(head, sizeof head,
                 "HTTP/1.1 %s\r\n%sContent-Length: 0\r\nConnection: close\r\n\r\n", status, more);
    http_write(fd, head, (size_t)n);
}

/* Until the other side has had enough. */
static inline void http_for_ever(int fd)
{
    static const char page[4096];
    while (send(fd, page, sizeof page, MSG_NOSIGNAL) > 0) {
    }
}

static inline size_t http_sent_bytes(const struct http_server *s, size_t bytes)
{
    unsigned serial = atomic_load(&s->requests);
    switch (s->fault) {
    case HTTP_CUT_ONCE:
        return serial == 1 ? bytes / 2 : bytes;
    case HTTP_CUT_ALWAYS:
        return serial == 1 ? bytes / 2 : 0;
    case HTTP_CUT_LATE:
        return bytes < 70000 ? bytes : 70000;
    case HTTP_STALL:
        return bytes / 2;
    default:
        return bytes;
    }
}

static inline void http_body(struct http_server *s, int fd, const char *data, size_t bytes,
                             const char *range)
{
    size_t first = 0, last = bytes - 1;
    char head[512];
    bool partial = range != NULL && s->fault != HTTP_IGNORE_RANGE;
    if (partial) {
        char *end = NULL;
        first = strtoul(range, &end, 10);
        last = end[1] >= '0' && end[1] <= '9' ? strtoul(end + 1, NULL, 10) : bytes - 1;
        if (first >= bytes) {
            http_status(fd, "416 Range Not Satisfiable", "");
            return;
        }
        last = last < bytes ? last : bytes - 1;
        if (s->fault == HTTP_SHIFTED_RANGE) {
            last -= first;
            first = 0;
        }
    }
    int n =
        snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n",
                 partial ? "206 Partial Content" : "200 OK",
                 last - first + 1 + (s->fault == HTTP_ENDLESS ? (size_t)1 << 40 : 0));
    if (partial && s->fault != HTTP_NO_PLACE) {
        n += snprintf(head + n, sizeof head - (size_t)n, "Content-Range: bytes %zu-%zu/%zu\r\n",
                      first, last, bytes);
    }
    n += snprintf(head + n, sizeof head - (size_t)n, "\r\n");
    http_write(fd, head, (size_t)n);
    http_write(fd, data + first, http_sent_bytes(s, last - first + 1));
    if (s->fault == HTTP_ENDLESS) {
        http_for_ever(fd);
    } else if (s->fault == HTTP_STALL) {
        ssize_t left = recv(fd, head, sizeof head, 0); /* the client hangs up */
        (void)left;
    }
}

static inline void http_file(struct http_server *s, int fd, const char *path, const char *range)
{
    char full[600];
    snprintf(full, sizeof full, "%s/%s", s->dir, path);
    FILE *f = fopen(full, "rb");
    if (f == NULL || strstr(path, "..") != NULL) {
        if (f != NULL) {
            fclose(f);
        }
        http_status(fd, "404 Not Found", "");
        return;
    }
    fseek(f, 0, SEEK_END);
    size_t bytes = (size_t)ftell(f);
    rewind(f);
    char *data = malloc(bytes + 1);
    size_t got = fread(data, 1, bytes, f);
    fclose(f);
    if (got == bytes && bytes > 0) {
        http_body(s, fd, data, bytes, range);
    }
    free(data);
}

static inline void http_answer(struct http_server *s, int fd)
{
    char request[4096], path[512] = "", loop[256];
    ssize_t n = recv(fd, request, sizeof request - 1, 0);
    if (n <= 0) {
        return;
    }
    request[n] = '\0';
    unsigned serial = atomic_fetch_add(&s->requests, 1) + 1;
    char *space = strchr(request + 5, ' ');
    snprintf(path, sizeof path, "%.*s", (int)(space - request - 5), request + 5);
    char *range = strstr(request, "Range: bytes=");
    snprintf(loop, sizeof loop, "Location: %s/%.60s\r\n", s->url, path);
    switch (s->fault) {
    case HTTP_ERROR_ONCE:
        if (serial == 1) {
            http_status(fd, "503 Service Unavailable", "");
            return;
        }
        break;
    case HTTP_FORBIDDEN:
        http_status(fd, "403 Forbidden", "");
        return;
    case HTTP_REDIRECT_LOOP:
        http_status(fd, "302 Found", loop);
        return;
    case HTTP_REDIRECT_FILE:
        http_status(fd, "302 Found", "Location: file:///etc/passwd\r\n");
        return;
    case HTTP_ENDLESS_ERROR:
        http_write(fd, "HTTP/1.1 404 Not Found\r\n\r\n", 26);
        http_for_ever(fd);
        return;
    case HTTP_WEB_PAGE: {
        static const char page[] = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
                                   "Content-Length: 26\r\nConnection: close\r\n\r\n"
                                   "<html>please log in</html>";
        http_write(fd, page, sizeof page - 1);
        return;
    }
    default:
        break;
    }
    http_file(s, fd, path, range != NULL ? range + 13 : NULL);
}

static inline void *http_serve(void *context)
{
    struct http_server *s = context;
    for (;;) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0) {
            return NULL; /* the listening socket was shut down */
        }
        http_answer(s, fd);
        shutdown(fd, SHUT_RDWR);
        close(fd);
    }
}

static inline void http_start(struct http_server *s, const char *dir, enum http_fault fault)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    memset(s, 0, sizeof *s);
    s->fault = fault;
    snprintf(s->dir, sizeof s->dir, "%s", dir);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(s->fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(s->fd, 64), 0);
    ck_assert_int_eq(getsockname(s->fd, (struct sockaddr *)&address, &bytes), 0);
    s->port = ntohs(address.sin_port);
    snprintf(s->url, sizeof s->url, "http://127.0.0.1:%u", s->port);
    ck_assert_int_eq(pthread_create(&s->thread, NULL, http_serve, s), 0);
}

static inline void http_stop(struct http_server *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
}

#endif
