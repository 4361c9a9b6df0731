/* SPDX-License-Identifier: Apache-2.0
 * mesh_sim [SEEDS [FIRST]]: runs that many worlds. TMILL_SEED=N runs one. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"
#include "tests/sim/sim.h"

static uint64_t number(const char *text, uint64_t otherwise)
{
    uint64_t value = otherwise;
    if (text != NULL && tm_parse_u64(tm_view_str(text), &value) != TM_OK) {
        fprintf(stderr, "mesh_sim: '%s' is no number\n", text);
        exit(EXIT_FAILURE);
    }
    return value;
}

int main(int argc, char **argv)
{
    static struct sim sim;
    const char *only = getenv("TMILL_SEED");
    uint64_t seeds = only != NULL ? 1 : number(argc > 1 ? argv[1] : NULL, 300);
    uint64_t first = only != NULL ? number(only, 0) : number(argc > 2 ? argv[2] : NULL, 1);
    uint64_t virtual_ms = 0, encodes = 0, units = 0, bans = 0, restarts = 0, wrong = 0;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        sim_run(&sim, seed);
        sim_deinit(&sim);
        if (sim.failure[0] != '\0' || tm_mem_live_blocks() > 0) {
            printf("seed=%" PRIu64 " at %" PRIu64 " ms: %s\nreplay: TMILL_SEED=%" PRIu64 " %s\n",
                   seed, sim.now_ms, sim.failure[0] != '\0' ? sim.failure : "memory is leaked",
                   seed, argv[0]);
            return EXIT_FAILURE;
        }
        virtual_ms += sim.now_ms;
        encodes += sim.encodes;
        units += sim.unit_count;
        bans += sim.bans;
        restarts += sim.restarts;
        wrong += sim.wrong;
    }
    printf("%" PRIu64 " worlds, %" PRIu64 " virtual minutes, %" PRIu64 " units encoded %" PRIu64
           " times, %" PRIu64 " crashes, %" PRIu64 " bans, %" PRIu64 " wrong by part-time liars\n",
           seeds, virtual_ms / 60000, units, encodes, restarts, bans, wrong);
    return EXIT_SUCCESS;
}
