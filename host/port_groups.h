/* port_groups.h - which remotes hold most of a stack's ephemeral ports, found by walking its connections a
 * few at a time. */
#ifndef HOST_PORT_GROUPS_H
#define HOST_PORT_GROUPS_H

#include <jansson.h>
#include <stdbool.h>
#include <tern/host.h>

struct port_groups;

/* NULL: no memory. To be freed with port_groups_free. */
struct port_groups *port_groups_new(void);
void port_groups_free(struct port_groups *g);

/* Look at some more connections; true when all have been looked at. Takes well under a millisecond. */
bool port_groups_step(struct port_groups *g, const tern *t);

/* Put the fields of the answer "ports" (control.h) into `o`. Returns `o`. */
json_t *port_groups_json(struct port_groups *g, const tern *t, json_t *o);

#endif
