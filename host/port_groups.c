/* port_groups.c - the ports of connections that this stack opened, by remote (address and port).
 *
 * A port runs out towards one remote, not in all: so connections are grouped by local address, remote address
 * and remote port. Whether this side opened a connection is not on every record; it counts as ours when its
 * port is ephemeral and nobody listens on it. Listeners come first in a walk, so they are known by then.
 *
 * Groups stand in a table with open addressing; those beyond GROUPS_MAX are summed up in one, so that a
 * program with a million remotes, none of which can be short of ports, costs no more.
 */
#include "host/port_groups.h"

#include <stdlib.h>
#include <string.h>

enum { STEP = 1000, FIRST_SIZE = 64, GROUPS_MAX = 1 << 15, SHOWN = 20 };

struct group {
    tern_ip local, remote;
    uint16_t remote_port, zone;
    uint32_t used; /* 0 = a free place */
    uint32_t by_state[TERN_STATES];
};

struct port_groups {
    uint64_t cursor; /* of tern_walk */
    uint8_t listening[65536 / 8];
    struct group *at;
    uint32_t size, count; /* a power of two */
    struct group others;
};

struct port_groups *port_groups_new(void)
{
    struct port_groups *g = calloc(1, sizeof *g);
    if (g != NULL && (g->at = calloc(FIRST_SIZE, sizeof *g->at)) == NULL) {
        free(g);
        return NULL;
    }
    if (g != NULL)
        g->size = FIRST_SIZE;
    return g;
}

void port_groups_free(struct port_groups *g)
{
    if (g == NULL)
        return;
    free(g->at);
    free(g);
}

static bool same(const struct group *a, const struct group *b)
{
    return memcmp(&a->local, &b->local, sizeof a->local) == 0 &&
           memcmp(&a->remote, &b->remote, sizeof a->remote) == 0 && a->remote_port == b->remote_port &&
           a->zone == b->zone;
}

/* FNV-1a. */
static uint32_t hash_bytes(uint32_t h, const void *data, size_t n)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 16777619u;
    return h;
}

static uint32_t hash(const struct group *k)
{
    uint32_t h = hash_bytes(2166136261u, &k->local, sizeof k->local);
    h = hash_bytes(h, &k->remote, sizeof k->remote);
    h = hash_bytes(h, &k->remote_port, sizeof k->remote_port);
    return hash_bytes(h, &k->zone, sizeof k->zone);
}

/* The place of a group, or the free one where it belongs. */
static struct group *place(struct group *at, uint32_t size, const struct group *key)
{
    uint32_t i = hash(key) & (size - 1);
    while (at[i].used != 0 && !same(&at[i], key))
        i = (i + 1) & (size - 1);
    return &at[i];
}

/* Twice the size; without memory it stays, and what has no place goes to the others. */
static void grow(struct port_groups *g)
{
    struct group *at = calloc((size_t)g->size * 2, sizeof *at);
    if (at == NULL)
        return;
    for (uint32_t i = 0; i < g->size; i++)
        if (g->at[i].used != 0)
            *place(at, g->size * 2, &g->at[i]) = g->at[i];
    free(g->at);
    g->at = at;
    g->size *= 2;
}

static struct group *group_of(struct port_groups *g, const tern_info *i)
{
    struct group key = {.local = i->local.ip,
                        .remote = i->remote.ip,
                        .remote_port = i->remote.port,
                        .zone = i->remote.zone};
    if (g->count >= g->size / 2 && g->size < 2 * GROUPS_MAX)
        grow(g);
    struct group *found = place(g->at, g->size, &key);
    if (found->used == 0 && g->count >= g->size / 2)
        return &g->others;
    if (found->used == 0) {
        *found = key;
        g->count++;
    }
    return found;
}

static void look_at(struct port_groups *g, const tern *t, const tern_info *i)
{
    uint16_t low, high, port = i->local.port;
    uint8_t bit = (uint8_t)(1 << port % 8);
    tern_port_range(t, &low, &high);
    if (i->listener)
        g->listening[port / 8] |= bit;
    if (i->listener || i->state == TERN_CLOSED || port < low || port > high || g->listening[port / 8] & bit)
        return;
    struct group *k = group_of(g, i);
    k->used++;
    k->by_state[i->state]++;
}

bool port_groups_step(struct port_groups *g, const tern *t)
{
    tern_info info;
    for (int i = 0; i < STEP; i++) {
        if (!tern_walk(t, &g->cursor, &info))
            return true;
        look_at(g, t, &info);
    }
    return false;
}

/* --- the answer --------------------------------------------------------------------------------- */

/* Most ports first; equal ones in an order that does not depend on their places. */
static int by_use(const void *x, const void *y)
{
    const struct group *a = x, *b = y;
    if (a->used != b->used)
        return a->used < b->used ? 1 : -1;
    int c = memcmp(&a->remote, &b->remote, sizeof a->remote);
    if (c == 0)
        c = (a->remote_port > b->remote_port) - (a->remote_port < b->remote_port);
    return c != 0 ? c : memcmp(&a->local, &b->local, sizeof a->local);
}

static json_t *states_json(const struct group *k)
{
    json_t *o = json_object();
    for (int s = 0; s < TERN_STATES; s++)
        if (k->by_state[s] > 0)
            json_object_set_new(o, tern_state_name((enum tern_state)s), json_integer(k->by_state[s]));
    return o;
}

static json_t *group_json(const struct group *k, uint32_t total)
{
    char local[46], remote[46];
    return json_pack("{s:s, s:s, s:i, s:i, s:I, s:I, s:o}", "local", tern_ip_text(&k->local, local), "remote",
                     tern_ip_text(&k->remote, remote), "remote_port", (int)k->remote_port, "zone",
                     (int)k->zone, "used", (json_int_t)k->used, "free",
                     (json_int_t)(total > k->used ? total - k->used : 0), "states", states_json(k));
}

/* The groups to the front of their table, in order. No more can be looked at afterwards. */
static void sort(struct port_groups *g)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->size; i++)
        if (g->at[i].used != 0)
            g->at[n++] = g->at[i];
    qsort(g->at, n, sizeof *g->at, by_use);
}

json_t *port_groups_json(struct port_groups *g, const tern *t, json_t *o)
{
    uint16_t low, high;
    json_t *list = json_array();
    tern_port_range(t, &low, &high);
    sort(g);
    for (uint32_t i = 0; i < g->count && i < SHOWN; i++)
        json_array_append_new(list, group_json(&g->at[i], (uint32_t)high - low + 1));
    json_object_set_new(o, "port_low", json_integer(low));
    json_object_set_new(o, "port_high", json_integer(high));
    json_object_set_new(o, "remotes", json_integer(g->count));
    json_object_set_new(o, "ports", list);
    return o;
}
