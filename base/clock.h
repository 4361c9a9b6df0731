/* SPDX-License-Identifier: Apache-2.0
 * Time as an interface: programs pass the OS clock, tests and the simulator a virtual one. */
#ifndef TM_BASE_CLOCK_H
#define TM_BASE_CLOCK_H

#include <stdint.h>

struct tm_clock {
    uint64_t (*mono_ms)(void *context); /* monotonic milliseconds, any origin */
    int64_t (*wall_s)(void *context);   /* seconds since 1970, for people only */
    void *context;
};

uint64_t tm_clock_ms(const struct tm_clock *clock);
int64_t tm_clock_wall_s(const struct tm_clock *clock);

/* The operating system's clock; static. */
const struct tm_clock *tm_clock_os(void);

/* A clock that moves only when told. */
struct tm_clock_sim {
    uint64_t now_ms;
    int64_t wall_s;
};
/* A clock over `sim`, which must outlive it. */
struct tm_clock tm_clock_of_sim(struct tm_clock_sim *sim);

#endif
