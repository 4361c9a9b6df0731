/* SPDX-License-Identifier: Apache-2.0
 * A peer that was let in and then attacks; no part of the product. It speaks ZMTP 3.0 with CURVE
 * (ZeroMQ RFC 23 and 26) by itself, for libzmq sends no message before its last frame. It connects
 * again whenever it is thrown out, until it is ended.
 *
 *   attacker ENDPOINT SERVER_KEY endless   large frames of one message that never ends
 *   attacker ENDPOINT SERVER_KEY many      the same with frames of 1 KiB
 *   attacker ENDPOINT SERVER_KEY over      frames over the limit of the bulk port
 *
 * ENDPOINT is tcp://127.0.0.1:PORT of control; bulk is attacked. Prints a line each time that it is
 * let in. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/num.h"
#include "crypto/identity.h"

#define FRAME_BYTES_MAX (512u * 1024)
#define HEAD_BYTES 16 /* "\7MESSAGE" and a short nonce */

static const struct mode {
    const char *name;
    size_t frame_bytes;
    bool more; /* each frame says that the message goes on */
} modes[] = {
    {"endless", 256u * 1024, true},
    {"many", 1024, true},
    {"over", FRAME_BYTES_MAX, false},
};

struct keys {
    uint8_t open[32], secret[32];
};

struct session {
    int fd;
    struct keys own, transient;
    uint8_t server[32], server_transient[32];
    uint64_t nonce;
};

static bool write_all(int fd, const uint8_t *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = send(fd, data, bytes, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        data += n;
        bytes -= (size_t)n;
    }
    return true;
}

static bool read_all(int fd, uint8_t *data, size_t bytes)
{
    return recv(fd, data, bytes, MSG_WAITALL) == (ssize_t)bytes;
}

static void put_be64(uint8_t *out, uint64_t value)
{
    for (int i = 0; i < 8; i++) {
        out[i] = (uint8_t)(value >> (56 - 8 * i));
    }
}

/* The next short nonce: its 8 bytes to `out`, all 24 to `nonce`. */
static void next_nonce(struct session *s, const char prefix[17], uint8_t *out, uint8_t nonce[24])
{
    put_be64(out, ++s->nonce);
    memcpy(nonce, prefix, 16);
    memcpy(nonce + 16, out, 8);
}

static bool greet(struct session *s)
{
    uint8_t greeting[64] = {0xff, [9] = 0x7f, [10] = 3, [12] = 'C', 'U', 'R', 'V', 'E'};
    uint8_t theirs[64];
    return write_all(s->fd, greeting, sizeof greeting) && read_all(s->fd, theirs, sizeof theirs);
}

static bool say_hello(struct session *s)
{
    uint8_t m[2 + 200] = {4, 200, 5, 'H', 'E', 'L', 'L', 'O', 1, 0};
    uint8_t nonce[24];
    const uint8_t zeros[64] = {0};
    memcpy(m + 82, s->transient.open, 32);
    next_nonce(s, "CurveZMQHELLO---", m + 114, nonce);
    return crypto_box_easy(m + 122, zeros, sizeof zeros, nonce, s->server, s->transient.secret) ==
               0 &&
           write_all(s->fd, m, sizeof m);
}

static bool read_welcome(struct session *s, uint8_t cookie[96])
{
    uint8_t m[2 + 168];
    uint8_t nonce[24] = "WELCOME-";
    uint8_t plain[128];
    if (!read_all(s->fd, m, sizeof m)) {
        return false;
    }
    memcpy(nonce + 8, m + 10, 16);
    if (crypto_box_open_easy(plain, m + 26, 144, nonce, s->server, s->transient.secret) != 0) {
        return false;
    }
    memcpy(s->server_transient, plain, 32);
    memcpy(cookie, plain + 32, 96);
    return true;
}

static bool initiate(struct session *s, const uint8_t cookie[96])
{
    static const char metadata[] = "\13Socket-Type\0\0\0\6DEALER\10Identity\0\0\0";
    enum { PLAIN = 32 + 16 + 80 + sizeof metadata, BODY = 9 + 96 + 8 + PLAIN + 16 };
    _Static_assert(BODY > 255, "a long frame");
    uint8_t plain[PLAIN], vouch[64], nonce[24] = "VOUCH---", m[9 + BODY] = {6};
    memcpy(plain, s->own.open, 32);
    randombytes_buf(nonce + 8, 16);
    memcpy(plain + 32, nonce + 8, 16);
    memcpy(vouch, s->transient.open, 32);
    memcpy(vouch + 32, s->server, 32);
    if (crypto_box_easy(plain + 48, vouch, sizeof vouch, nonce, s->server_transient,
                        s->own.secret) != 0) {
        return false;
    }
    memcpy(plain + 128, metadata, sizeof metadata);
    put_be64(m + 1, BODY);
    memcpy(m + 9, "\10INITIATE", 9);
    memcpy(m + 18, cookie, 96);
    next_nonce(s, "CurveZMQINITIATE", m + 114, nonce);
    return crypto_box_easy(m + 122, plain, PLAIN, nonce, s->server_transient,
                           s->transient.secret) == 0 &&
           write_all(s->fd, m, sizeof m);
}

/* READY comes when the key is let in. */
static bool read_ready(struct session *s)
{
    uint8_t head[2], body[256];
    return read_all(s->fd, head, 2) && read_all(s->fd, body, head[1]) &&
           memcmp(body, "\5READY", 6) == 0;
}

static bool send_frame(struct session *s, bool more, size_t bytes)
{
    static uint8_t plain[1 + FRAME_BYTES_MAX], m[9 + HEAD_BYTES + 16 + sizeof plain];
    uint8_t nonce[24];
    size_t body = HEAD_BYTES + 16 + 1 + bytes;
    plain[0] = more;
    m[0] = 2;
    put_be64(m + 1, body);
    memcpy(m + 9, "\7MESSAGE", 8);
    next_nonce(s, "CurveZMQMESSAGEC", m + 17, nonce);
    return crypto_box_easy(m + 25, plain, 1 + bytes, nonce, s->server_transient,
                           s->transient.secret) == 0 &&
           write_all(s->fd, m, 9 + body);
}

/* One connection, until it is closed; false when it was never let in. */
static bool attack(struct session *s, const struct sockaddr_in *to, const struct mode *mode)
{
    uint8_t cookie[96];
    bool in = false;
    s->nonce = 0;
    crypto_box_keypair(s->own.open, s->own.secret);
    crypto_box_keypair(s->transient.open, s->transient.secret);
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(s->fd, (const struct sockaddr *)to, sizeof *to) == 0 && greet(s) && say_hello(s) &&
        read_welcome(s, cookie) && initiate(s, cookie) && read_ready(s)) {
        in = true;
        printf("attacking\n");
        fflush(stdout);
        while (send_frame(s, mode->more, mode->frame_bytes)) {
        }
    }
    close(s->fd);
    return in;
}

int main(int argc, char **argv)
{
    static const char host[] = "tcp://127.0.0.1:";
    struct session session = {.fd = -1};
    struct tm_public_key key;
    struct tm_err err;
    uint64_t port = 0;
    const struct mode *mode = NULL;
    for (size_t i = 0; argc == 4 && i < sizeof modes / sizeof modes[0]; i++) {
        mode = strcmp(argv[3], modes[i].name) == 0 ? &modes[i] : mode;
    }
    if (mode == NULL || strncmp(argv[1], host, strlen(host)) != 0 ||
        tm_parse_u64(tm_view_str(argv[1] + strlen(host)), &port) != TM_OK || port > 65534 ||
        tm_crypto_init(&err) != TM_OK ||
        tm_public_key_parse(tm_view_str(argv[2]), &key, &err) != TM_OK ||
        tm_public_key_curve(&key, session.server) != TM_OK) {
        fprintf(stderr, "usage: attacker tcp://127.0.0.1:PORT SERVER_KEY endless|many|over\n");
        return 2;
    }
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)(port + 1)),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    for (;;) {
        if (!attack(&session, &to, mode)) {
            usleep(1000); /* nobody listens at the moment */
        }
    }
}
