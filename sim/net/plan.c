/* plan.c - see plan.h: the text form of a plan, and what its fields are called. */
#include "plan.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct field {
    const char *name;
    uint32_t least;
};

#define AS_FIELD(name, least) {#name, least},
static const struct field world_fields[] = {WORLD_FIELDS(AS_FIELD)};
static const struct field host_fields[] = {HOST_FIELDS(AS_FIELD)};
static const struct field trunk_fields[] = {TRUNK_FIELDS(AS_FIELD)};
#define AS_CLIENT(name, least) {"A_" #name, least},
#define AS_SERVER(name, least) {"B_" #name, least},
static const struct field conn_fields[] = {CONN_FIELDS(AS_FIELD) PROGRAM_FIELDS(AS_CLIENT)
                                               PROGRAM_FIELDS(AS_SERVER)};
static const struct field fault_fields[] = {FAULT_FIELDS(AS_FIELD)};
static const struct field attack_fields[] = {ATTACK_FIELDS(AS_FIELD)};

static const struct {
    char letter;
    uint32_t n;
    const struct field *field;
} kinds[ITEM_KINDS] = {
    [ITEM_WORLD] = {'w', W_FIELDS, world_fields},   [ITEM_HOST] = {'h', H_FIELDS, host_fields},
    [ITEM_TRUNK] = {'t', T_FIELDS, trunk_fields},   [ITEM_CONN] = {'c', C_FIELDS, conn_fields},
    [ITEM_FAULT] = {'f', F_FIELDS, fault_fields},   [ITEM_ATTACK] = {'a', A_FIELDS, attack_fields},
};
_Static_assert((int)C_FIELDS <= (int)FIELDS_MOST && (int)H_FIELDS <= (int)FIELDS_MOST,
               "room for every field");

uint32_t item_fields(enum item_kind kind) { return kinds[kind].n; }
const char *item_field_name(enum item_kind kind, uint32_t field) { return kinds[kind].field[field].name; }
uint32_t item_field_least(enum item_kind kind, uint32_t field) { return kinds[kind].field[field].least; }

uint32_t plan_count(const struct plan *p, enum item_kind kind)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n; i++)
        n += p->item[i].kind == kind && !p->item[i].out;
    return n;
}

/* --- names ----------------------------------------------------------------------------------- */

const char *fault_name(enum fault_what what)
{
    static const char *const names[FAULTS] = {
        "loss",
        "loss in bursts",
        "reordering",
        "duplicates",
        "old duplicates",
        "corruption",
        "truncation",
        "wire down",
        "jitter",
        "CE marks",
        "smaller MTU",
        "black hole",
        "unreachable",
        "timestamps stripped",
        "SYN options stripped",
        "crash",
        "snapshot and restore",
        "sleep",
        "clock ahead",
        "clock back",
        "NAT forgets",
        "interface down",
        "interface MTU",
        "renumbering",
        "listener reopened",
        "a lying wire",
    };
    return names[what];
}

const char *attack_name(enum attack what)
{
    static const char *const names[ATTACKS] = {
        "SYN flood",           "blind SYN", "blind RST",      "blind data", "blind FIN",
        "blind ICMP",          "near RST",  "near SYN",       "near ACK",   "segment without ACK",
        "text behind the FIN", "strays",    "broken packets", "fragments",  "guessed cookies",
        "a burst of strays",
    };
    return names[what];
}

const char *snare_name(enum snare what)
{
    static const char *const names[SNARES] = {
        "nothing",        "close",        "abort",   "close with linger 0", "shutdown", "its wires are cut",
        "its address is taken away", "its link is taken away", "crash", "its listener is closed",
        "ICMP unreachable",
    };
    return names[what];
}

const char *ending_name(enum ending what)
{
    static const char *const names[ENDINGS] = {
        "in order", "listens first", "closes", "aborts", "linger 0", "half-close", "never closes", "dies",
    };
    return names[what];
}

/* --- text ------------------------------------------------------------------------------------ */

static bool same_name(const char *name, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (name[i] == 0 || tolower((unsigned char)name[i]) != tolower((unsigned char)text[i]))
            return false;
    return name[len] == 0;
}

bool item_names(enum item_kind kind, uint32_t field)
{
    return (kind == ITEM_CONN && (field == C_CLIENT || field == C_SERVER)) ||
           (kind == ITEM_FAULT && (field == F_WHAT || field == F_PLACE)) ||
           (kind == ITEM_ATTACK && (field == A_WHAT || field == A_CONN || field == A_SIDE)) ||
           (kind == ITEM_TRUNK && field == T_PARENT);
}

static void make_least(struct item *item)
{
    for (uint32_t i = 0; i < kinds[item->kind].n; i++)
        if (!item_names((enum item_kind)item->kind, i))
            item->f[i] = kinds[item->kind].field[i].least;
}

/* "!", for all numbers at their least; ".name=value", as often as it stands there. NULL: not understood. */
static const char *read_changes(struct item *item, const char *at)
{
    if (*at == '!') {
        make_least(item);
        at++;
    }
    while (*at == '.') {
        const char *name = ++at;
        size_t len = strcspn(name, "=,.");
        uint32_t field = 0, n = kinds[item->kind].n;
        while (field < n && !same_name(kinds[item->kind].field[field].name, name, len))
            field++;
        if (field == n || name[len] != '=' || !isdigit((unsigned char)name[len + 1]))
            return NULL;
        char *end;
        item->f[field] = (uint32_t)strtoul(name + len + 1, &end, 10);
        at = end;
    }
    return at;
}

bool plan_only(struct plan *p, const char *text, const char **wrong)
{
    for (uint32_t i = 1; i < p->n; i++)
        p->item[i].out = true;
    for (const char *at = text; *at != 0;) {
        *wrong = at;
        char *end;
        uint32_t index = isdigit((unsigned char)at[1]) ? (uint32_t)strtoul(at + 1, &end, 10) : ITEMS_MOST;
        if (index >= p->n || kinds[p->item[index].kind].letter != *at)
            return false;
        p->item[index].out = false;
        at = read_changes(&p->item[index], end);
        if (at == NULL || (*at != 0 && *at != ','))
            return false;
        at += *at == ',';
    }
    return true;
}

static size_t put_changes(const struct item *item, const struct item *from_item, char *buf, size_t size)
{
    size_t n = 0;
    if (size > 0)
        buf[0] = 0;
    for (uint32_t i = 0; i < kinds[item->kind].n; i++) {
        if (item->f[i] == from_item->f[i])
            continue;
        char name[32];
        const char *from = kinds[item->kind].field[i].name;
        size_t k = 0;
        for (; from[k] != 0 && k < sizeof name - 1; k++)
            name[k] = (char)tolower((unsigned char)from[k]);
        name[k] = 0;
        n += (size_t)snprintf(n < size ? buf + n : NULL, n < size ? size - n : 0, ".%s=%u", name, item->f[i]);
    }
    return n;
}

/* What differs from the drawn item, or from the least one: whichever is shorter. */
static size_t put_item(const struct item *item, const struct item *drawn, char *buf, size_t size)
{
    struct item least = *drawn;
    make_least(&least);
    size_t from_drawn = put_changes(item, drawn, NULL, 0),
           from_least = put_changes(item, &least, NULL, 0) + 1;
    if (from_drawn <= from_least)
        return put_changes(item, drawn, buf, size);
    if (size > 1)
        buf[0] = '!';
    put_changes(item, &least, size > 1 ? buf + 1 : NULL, size > 1 ? size - 1 : 0);
    return from_least;
}

size_t plan_text(const struct plan *p, char *buf, size_t size)
{
    struct plan *drawn = malloc(sizeof *drawn);
    size_t n = 0;
    plan_draw(drawn, p->seed);
    if (size > 0)
        buf[0] = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        const struct item *item = &p->item[i];
        if (item->out || (i == 0 && memcmp(item->f, drawn->item[0].f, sizeof item->f) == 0))
            continue;
        n += (size_t)snprintf(n < size ? buf + n : NULL, n < size ? size - n : 0, "%s%c%u", n ? "," : "",
                              kinds[item->kind].letter, i);
        n += put_item(item, &drawn->item[i], n < size ? buf + n : NULL, n < size ? size - n : 0);
    }
    free(drawn);
    return n;
}
