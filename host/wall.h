/* wall.h - the time of day, for people and for HTTP dates. Nothing of TCP is timed by it: it may jump. */
#ifndef HOST_WALL_H
#define HOST_WALL_H

#include <stdint.h>

/* Seconds, and microseconds, since 1970 (UTC). */
int64_t tern_wall_seconds(void);
int64_t tern_wall_us(void);

#endif
