/* SPDX-License-Identifier: Apache-2.0
 * The mesh protocol as plain structs, with the limits of every field. Protobuf lives in wire.c
 * only. docs/formats/wire.md is the normative text.
 *
 * Two sockets a node: control (small, <= 64 KiB a message) and bulk (<= 272 KiB). Workers dial out.
 *
 *   worker                         coordinator          socket
 *     HELLO  (who, capacity)  ->                        control
 *                             <-  WELCOME (epoch, plan)
 *     WANT   (slots)          ->
 *                             <-  LEASE (token, units) | IDLE (retry or done)
 *     FETCH  (digest, credit) ->                        bulk
 *                             <-  DATA pieces, within credit
 *     CREDIT (digest, more)   ->
 *     RESULT (unit, leaf, sig)->                        control
 *                             <-  CREDIT (leaf, more)   bulk
 *     DATA pieces of the leaf ->
 *                             <-  RECEIPT (after the journal has it)   control
 *     HEARTBEAT (tokens)      ->  any message counts as life
 *                             <-  HEARTBEAT
 *                             <-  BAN (reason) | BYE */
#ifndef TM_PROTO_MESSAGE_H
#define TM_PROTO_MESSAGE_H

#include "base/buf.h"
#include "crypto/digest.h"
#include "crypto/sign.h"

#define TM_PROTOCOL_VERSION 1
#define TM_CONTROL_BYTES_MAX (64u * 1024)
#define TM_BULK_BYTES_MAX (272u * 1024)
#define TM_DATA_PIECE_MAX (256u * 1024)
#define TM_MSG_NAME_MAX 64
#define TM_MSG_TEXT_MAX 256
#define TM_MSG_SPEEDS_MAX 16
#define TM_MSG_LEASE_UNITS_MAX 64
#define TM_MSG_TOKENS_MAX 64
#define TM_MSG_CORES_MAX 65535
#define TM_MSG_HEARTBEAT_MS_MAX 600000
#define TM_LEASE_TOKEN_BYTES 16

enum tm_msg_type {
    TM_MSG_HELLO = 1,
    TM_MSG_WELCOME = 2,
    TM_MSG_WANT = 3,
    TM_MSG_LEASE = 4,
    TM_MSG_IDLE = 5,
    TM_MSG_HEARTBEAT = 6,
    TM_MSG_RESULT = 7,
    TM_MSG_RECEIPT = 8,
    TM_MSG_FETCH = 9,
    TM_MSG_DATA = 10,
    TM_MSG_CREDIT = 11,
    TM_MSG_BAN = 12,
    TM_MSG_BYE = 13
};

struct tm_lease_token {
    uint8_t b[TM_LEASE_TOKEN_BYTES];
};

struct tm_msg_speed {
    char pipeline[TM_MSG_TEXT_MAX]; /* canonical text */
    uint64_t weights_per_s;         /* measured, one core */
};

/* A node announces itself and its capacity; sent again when the figures change. */
struct tm_msg_hello {
    uint32_t protocol;
    char software[TM_MSG_NAME_MAX]; /* "tmill 0.1.0" */
    struct tm_public_key key;       /* its CURVE key must be derived from it */
    char name[TM_MSG_NAME_MAX];
    uint32_t cores;
    uint64_t ram_bytes;
    struct tm_digest encoders; /* tm_encoders_digest: other builds get no lease */
    uint32_t speed_count;
    struct tm_msg_speed speeds[TM_MSG_SPEEDS_MAX];
};

struct tm_msg_welcome {
    uint64_t epoch; /* grows at each start of the coordinator */
    uint32_t heartbeat_ms;
    struct tm_digest plan;
    uint32_t pipeline_count; /* pipelines of the job: the node measures itself on them */
    char pipelines[TM_MSG_SPEEDS_MAX][TM_MSG_TEXT_MAX];
};

struct tm_msg_want {
    uint32_t slots; /* units it would take now, 1..TM_MSG_LEASE_UNITS_MAX */
};

struct tm_msg_unit {
    uint32_t unit; /* chunk index in the package */
    struct tm_digest source;
    uint32_t source_bytes;
    uint32_t dtype; /* model/tensor.h */
    uint32_t rows, cols;
    uint32_t pipeline; /* index into welcome.pipelines */
};

struct tm_msg_lease {
    struct tm_lease_token token;
    uint64_t epoch;
    uint32_t deadline_ms; /* from receipt; heartbeats that name the token renew it */
    uint32_t unit_count;
    struct tm_msg_unit units[TM_MSG_LEASE_UNITS_MAX];
};

struct tm_msg_idle {
    uint32_t retry_ms; /* ask (or greet) again after; 0: the job is done */
};

struct tm_msg_heartbeat {
    uint64_t epoch;
    uint32_t token_count;
    struct tm_lease_token tokens[TM_MSG_TOKENS_MAX]; /* leases the node still works on */
};

/* sig: by the node over tm_pkg_statement(plan, unit, source, leaf, pipeline), TM_SIGN_RESULT. */
struct tm_msg_result {
    struct tm_lease_token token;
    uint64_t epoch;
    uint32_t unit;
    struct tm_digest leaf;
    uint32_t bytes; /* of the encoded chunk that follows as DATA */
    uint32_t compute_ms;
    struct tm_signature sig;
};

enum tm_receipt { TM_RECEIPT_ACCEPTED = 1, TM_RECEIPT_DUPLICATE = 2, TM_RECEIPT_REJECTED = 3 };

struct tm_msg_receipt {
    uint32_t unit;
    struct tm_digest leaf;
    enum tm_receipt verdict;
    char reason[TM_MSG_TEXT_MAX];
};

struct tm_msg_fetch {
    struct tm_digest id; /* of a unit's source bytes */
    uint32_t credit_bytes;
};

struct tm_msg_data {
    struct tm_digest id; /* source digest, or leaf of a result */
    uint32_t offset, total;
    struct tm_view piece; /* borrowed from the received frame, or from the caller when sending */
};

struct tm_msg_credit {
    struct tm_digest id;
    uint32_t credit_bytes;
};

struct tm_msg_ban {
    char reason[TM_MSG_TEXT_MAX];
};

struct tm_msg {
    enum tm_msg_type type;
    union {
        struct tm_msg_hello hello;
        struct tm_msg_welcome welcome;
        struct tm_msg_want want;
        struct tm_msg_lease lease;
        struct tm_msg_idle idle;
        struct tm_msg_heartbeat heartbeat;
        struct tm_msg_result result;
        struct tm_msg_receipt receipt;
        struct tm_msg_fetch fetch;
        struct tm_msg_data data;
        struct tm_msg_credit credit;
        struct tm_msg_ban ban; /* also BYE: reason */
    };
};

const char *tm_msg_type_name(enum tm_msg_type type);

#endif
