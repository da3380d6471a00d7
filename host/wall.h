/* wall.h - the time of day, for people and for HTTP dates, and processor time, for measurements. Nothing of
 * TCP is timed by them: they may jump. */
#ifndef HOST_WALL_H
#define HOST_WALL_H

#include <stdint.h>

/* Seconds, and microseconds, since 1970 (UTC). */
int64_t tern_wall_seconds(void);
int64_t tern_wall_us(void);

/* Processor time that this thread has used, in nanoseconds. */
uint64_t tern_cpu_ns(void);

#endif
