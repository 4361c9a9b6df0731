/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <time.h>

uint64_t tm_clock_ms(const struct tm_clock *clock)
{
    return clock->mono_ms(clock->context);
}

int64_t tm_clock_wall_s(const struct tm_clock *clock)
{
    return clock->wall_s(clock->context);
}

static uint64_t os_mono_ms(void *context)
{
    (void)context;
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int64_t os_wall_s(void *context)
{
    (void)context;
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

const struct tm_clock *tm_clock_os(void)
{
    static const struct tm_clock clock = {.mono_ms = os_mono_ms, .wall_s = os_wall_s};
    return &clock;
}

static uint64_t sim_mono_ms(void *context)
{
    return ((const struct tm_clock_sim *)context)->now_ms;
}

static int64_t sim_wall_s(void *context)
{
    return ((const struct tm_clock_sim *)context)->wall_s;
}

struct tm_clock tm_clock_of_sim(struct tm_clock_sim *sim)
{
    return (struct tm_clock){.mono_ms = sim_mono_ms, .wall_s = sim_wall_s, .context = sim};
}
