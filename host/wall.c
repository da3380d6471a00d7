/* wall.c - the time of day. */
#include "host/wall.h"

#include <time.h>

int64_t tern_wall_seconds(void) { return (int64_t)time(NULL); }
