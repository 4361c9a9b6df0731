/* SPDX-License-Identifier: Apache-2.0
 * The mesh in one thread: the coordinator and the workers that the programs run, the real frames,
 * and a world of virtual time that loses, doubles, delays and reorders messages, crashes everybody,
 * and has nodes that lie. Everything follows from one seed.
 *
 * Two phases. While faults last only safety is asked for: what is acknowledged is durable, a banned
 * node gets no lease, honest nodes are never banned, no more bytes are held than allowed. Then the
 * world heals and the job must end in bounded time, with the right result for every unit that is
 * audited or made by a node that is not a part-time liar. */
#ifndef TM_TESTS_SIM_H
#define TM_TESTS_SIM_H

#include "base/rng.h"
#include "proto/wire.h"
#include "scheduler/coordinator.h"
#include "scheduler/worker.h"

#define SIM_NODES_MAX 16
#define SIM_UNITS_MAX 160

enum sim_kind {
    SIM_HONEST,
    SIM_SLOW,      /* honest, 20 times slower than it says */
    SIM_LIAR,      /* every result decodes well and is wrong: only audits see it */
    SIM_PART_LIAR, /* three in ten are */
    SIM_GARBAGE,   /* results do not decode */
    SIM_HOARDER,   /* takes leases, beats its heart, makes nothing */
    SIM_STALLER,   /* announces results and never sends them */
    SIM_KINDS
};

enum sim_event_kind {
    SIM_TO_COORDINATOR, /* frame of node */
    SIM_TO_NODE,        /* frame */
    SIM_TICK_COORDINATOR,
    SIM_TICK_NODE,
    SIM_UPLOADED, /* to the coordinator */
    SIM_CHECKED,
    SIM_COMMITTED,
    SIM_OWNER_MADE,
    SIM_FETCHED,
    SIM_ENCODED,
    SIM_NODE_STARTS,
    SIM_NODE_CRASHES,
    SIM_COORDINATOR_STARTS,
    SIM_COORDINATOR_CRASHES
};

struct sim_event {
    uint64_t at_ms, order;
    enum sim_event_kind kind;
    uint32_t node, unit;
    uint32_t life; /* of the process it belongs to; messages outlive processes */
    struct tm_digest leaf;
    bool audit;
    struct tm_buf frame;
};

struct sim_node {
    enum sim_kind kind;
    struct tm_public_key key;
    struct tm_node_id id;
    struct tm_worker *worker; /* NULL while it is down */
    uint32_t life;
    uint32_t encode_ms;
    bool made[SIM_UNITS_MAX]; /* it holds bytes of a result with this leaf */
    struct tm_digest leaf[SIM_UNITS_MAX];
    bool stopped;
};

struct sim_row {
    bool set;
    uint32_t node;
    struct tm_digest leaf;
};

struct sim_write {
    uint64_t seq;
    bool ban;
    uint32_t unit, node;
    struct tm_digest leaf;
};

/* What a disk keeps. Writes are durable when they are committed; a crash may lose the tail. */
struct sim_journal {
    struct sim_row rows[SIM_UNITS_MAX];
    bool banned[SIM_NODES_MAX];
    struct sim_write *writes;
    size_t count, capacity;
};

struct sim {
    uint64_t seed;
    struct tm_rng rng;
    uint64_t now_ms, order;
    struct sim_event *heap;
    size_t heap_count, heap_capacity;
    /* Faults, drawn from the seed. */
    uint64_t faults_end_ms;
    uint32_t loss_percent, twice_percent, delay_ms, crash_every_ms;
    /* The job. */
    struct tm_coord_unit units[SIM_UNITS_MAX];
    uint32_t unit_count;
    struct tm_digest plan, encoders;
    uint32_t audit_first, audit_every;
    uint8_t audit_seed[32];
    /* The coordinator's process and its disk. */
    struct tm_coordinator *coordinator; /* NULL while it is down */
    uint32_t life;
    uint64_t epoch;
    struct sim_journal journal;
    bool commit_due;
    bool banned_now[SIM_NODES_MAX];          /* as this process must know */
    struct sim_row expecting[SIM_UNITS_MAX]; /* uploads asked for and not complete */
    struct sim_row holding[SIM_UNITS_MAX];   /* bytes received and neither saved nor dropped */
    uint32_t holding_count;
    bool done;
    struct sim_node nodes[SIM_NODES_MAX];
    uint32_t node_count;
    /* For the report. */
    uint64_t encodes, restarts, bans, wrong, done_ms;
    char failure[256];
};

#define SIM_UPLOADS_MAX 8
#define SIM_TICK_MS 100
#define SIM_HEARTBEAT_MS 500
#define SIM_LEASE_MIN_MS 3000

/* ---- sim.c: world ---- */
void sim_run(struct sim *sim, uint64_t seed);
void sim_deinit(struct sim *sim);
/* Records the first violation; the run ends. */
void sim_fail(struct sim *sim, const char *fmt, ...) TM_PRINTF(2, 3);
struct sim_event *sim_schedule(struct sim *sim, uint64_t in_ms, enum sim_event_kind kind);
/* Through the network, with all that may happen there. */
void sim_send(struct sim *sim, enum sim_event_kind to, uint32_t node, const struct tm_msg *msg);
bool sim_percent(struct sim *sim, uint32_t percent);
struct tm_digest sim_truth(const struct sim *sim, uint32_t unit);

/* ---- sim_coordinator.c ---- */
void sim_coordinator_start(struct sim *sim);
void sim_coordinator_crash(struct sim *sim);
void sim_coordinator_event(struct sim *sim, const struct sim_event *event);
/* Whether the keyed choice of the coordinator falls on a unit, computed here a second time. */
bool sim_is_audited(const struct sim *sim, uint32_t unit);

/* ---- sim_node.c ---- */
void sim_node_start(struct sim *sim, uint32_t node);
void sim_node_crash(struct sim *sim, uint32_t node);
void sim_node_event(struct sim *sim, const struct sim_event *event);
bool sim_is_honest(const struct sim_node *node);

#endif
