/* info_json.h - what the core tells about itself, as JSON (control.h documents the fields). */
#ifndef HOST_INFO_JSON_H
#define HOST_INFO_JSON_H

#include <jansson.h>
#include <tern/host.h>

/* Each returns a new object, NULL without memory. */
json_t *tern_info_json(const tern_info *info);
json_t *tern_stats_json(const tern_stats *stats);   /* counters by name */
json_t *tern_dropped_json(const tern_stats *stats); /* causes with a count */
json_t *tern_live_json(const tern_live *live);

/* "retransmit", "keepalive", ... for an enum tern_timer. */
const char *info_timer_name(uint8_t timer);

#endif
