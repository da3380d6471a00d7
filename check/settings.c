/* settings.c - the options of a script: packetdrill's own, and --tern=NAME=VALUE for what is tern's. */
#include "check/run.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum { MTU = 1500, PORT = 8080, TOLERANCE_US = 4000, TOLERANCE_PPM = 10000, MEMORY = 64 << 20 };

/* --- tern's configuration -------------------------------------------------------------------- */

struct field {
    const char *name;
    size_t at, size;
};
#define FIELD(name)                                                                       \
    {                                                                                     \
        #name, offsetof(tern_config, name), sizeof(((tern_config *)0)->name) \
    }

static const struct field fields[] = {
    FIELD(page_size),      FIELD(budget),       FIELD(msl_ms),         FIELD(time_wait_max),
    FIELD(rto_min_us),     FIELD(rto_max_us),   FIELD(delack_us),      FIELD(syn_retries_ms),
    FIELD(synack_retries), FIELD(retries_ms),   FIELD(fin_wait2_ms),   FIELD(rest_ms),
    FIELD(send_buffer),    FIELD(recv_buffer),  FIELD(port_low),       FIELD(port_high),
    FIELD(ttl),            FIELD(ecn),          FIELD(no_timestamps),  FIELD(no_wscale),
    FIELD(no_sack),        FIELD(unclaimed_rst), FIELD(by_steps),
};

/* Words that may stand for a number. */
static const struct {
    const char *name, *word;
    uint64_t value;
} words[] = {
    {"ecn", "passive", TERN_ECN_PASSIVE},   {"ecn", "on", TERN_ECN_ON},
    {"ecn", "off", TERN_ECN_OFF},           {"unclaimed_rst", "yes", TERN_RST_YES},
    {"unclaimed_rst", "no", TERN_RST_NO},
};

static uint64_t number(struct run *r, const struct script_option *o, const char *text, uint64_t most)
{
    char *end;
    uint64_t v = strtoull(text, &end, 0);
    if (*text < '0' || *text > '9' || *end != 0 || v > most)
        run_wrong(r, o->line, o->column, "--%s: '%s' is not a number from 0 to %llu", o->name, text,
                  (unsigned long long)most);
    return v;
}

static void store(struct settings *set, const struct field *f, uint64_t v)
{
    uint8_t *at = (uint8_t *)&set->config + f->at;
    if (f->size == 1)
        *at = (uint8_t)v;
    else if (f->size == 2)
        *(uint16_t *)(void *)at = (uint16_t)v;
    else if (f->size == 4)
        *(uint32_t *)(void *)at = (uint32_t)v;
    else
        *(uint64_t *)(void *)at = v;
}

static bool by_word(struct settings *set, const struct field *f, const char *value)
{
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i].name, f->name) == 0 && strcmp(words[i].word, value) == 0)
            return store(set, f, words[i].value), true;
    return false;
}

/* --tern=NAME=VALUE. */
static void read_tern(struct run *r, const struct script_option *o)
{
    const char *equals = strchr(o->value, '=');
    size_t len = equals ? (size_t)(equals - o->value) : 0;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const struct field *f = &fields[i];
        uint64_t most = f->size == 8 ? UINT64_MAX : (1ull << 8 * f->size) - 1;
        if (len == 0 || strlen(f->name) != len || memcmp(f->name, o->value, len) != 0)
            continue;
        if (!by_word(&r->set, f, equals + 1))
            store(&r->set, f, number(r, o, equals + 1, most));
        return;
    }
    if (len == 6 && memcmp(o->value, "memory", 6) == 0)
        r->set.memory = (size_t)(number(r, o, equals + 1, 1ull << 32) + 15) & ~(size_t)15;
    else if (len == 3 && memcmp(o->value, "iss", 3) == 0)
        r->set.has_iss = true, r->set.iss = (uint32_t)number(r, o, equals + 1, UINT32_MAX);
    else if (len == 3 && memcmp(o->value, "irs", 3) == 0)
        r->set.irs = (uint32_t)number(r, o, equals + 1, UINT32_MAX);
    else
        run_wrong(r, o->line, o->column, "--tern=NAME=VALUE: '%s' names no setting of tern", o->value);
}

/* --- packetdrill's options ------------------------------------------------------------------- */

static void read_address(struct run *r, const struct script_option *o, tern_ip *out)
{
    char text[80];
    struct in_addr v4;
    struct in6_addr v6;
    size_t len = strcspn(o->value, "/"); /* the prefix length says nothing here */
    if (len < sizeof text) {
        memcpy(text, o->value, len);
        text[len] = 0;
        if (!r->s->v6 && inet_pton(AF_INET, text, &v4) == 1) {
            const uint8_t *b = (const uint8_t *)&v4;
            *out = tern_ip4(b[0], b[1], b[2], b[3]);
            return;
        }
        if (r->s->v6 && inet_pton(AF_INET6, text, &v6) == 1) {
            memcpy(out->b, &v6, 16);
            return;
        }
    }
    run_wrong(r, o->line, o->column, "--%s: '%s' is no IPv%d address", o->name, o->value, r->s->v6 ? 6 : 4);
}

static void read_version(struct run *r, const struct script_option *o)
{
    if (strcmp(o->value, "ipv4") != 0 && strcmp(o->value, "ipv6") != 0 &&
        strcmp(o->value, "ipv4-mapped-ipv6") != 0)
        run_wrong(r, o->line, o->column, "--ip_version is ipv4, ipv4-mapped-ipv6 or ipv6, not '%s'",
                  o->value);
}

/* 12.5 as millionths of the time waited. */
static void read_percent(struct run *r, const struct script_option *o)
{
    char *end;
    double percent = strtod(o->value, &end);
    if (*o->value == 0 || *end != 0 || !(percent >= 0 && percent <= 1000))
        run_wrong(r, o->line, o->column, "--%s: '%s' is not a number from 0 to 1000", o->name, o->value);
    r->set.tolerance_ppm = (int64_t)(percent * 10000);
}

/* Options of packetdrill that choose how it runs, and change nothing here. */
static bool is_idle(const char *name)
{
    static const char *const names[] = {"define",      "gateway_ip",   "netmask_ip", "speed",
                                        "verbose",     "debug",        "is_anyip",   "code_command",
                                        "code_format", "code_sockopt", "dry_run"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static void read_option(struct run *r, const struct script_option *o)
{
    struct settings *set = &r->set;
    if (strcmp(o->name, "tern") == 0)
        read_tern(r, o);
    else if (strcmp(o->name, "ip_version") == 0)
        read_version(r, o);
    else if (strcmp(o->name, "local_ip") == 0)
        read_address(r, o, &set->local);
    else if (strcmp(o->name, "remote_ip") == 0)
        read_address(r, o, &set->remote);
    else if (strcmp(o->name, "bind_port") == 0)
        set->bind_port = (uint16_t)number(r, o, o->value, 65535);
    else if (strcmp(o->name, "connect_port") == 0)
        set->connect_port = (uint16_t)number(r, o, o->value, 65535);
    else if (strcmp(o->name, "mtu") == 0)
        set->mtu = (uint32_t)number(r, o, o->value, 65535);
    else if (strcmp(o->name, "mss") == 0)
        set->mss = (uint16_t)number(r, o, o->value, 65535);
    else if (strcmp(o->name, "tolerance_usecs") == 0)
        set->tolerance_us = (int64_t)number(r, o, o->value, 1000000000);
    else if (strcmp(o->name, "tolerance_percent") == 0)
        read_percent(r, o);
    else if (strcmp(o->name, "tcp_ts_tick_usecs") == 0)
        set->ts_tick_us = (uint32_t)number(r, o, o->value, 1000000);
    else if (strcmp(o->name, "strict_segments") == 0)
        set->strict_segments = true;
    else if (strcmp(o->name, "tcp_ts_ecr_scaled") != 0 && !is_idle(o->name))
        run_skip(r, "the option --%s", o->name);
}

bool check_is_setting(const char *name, size_t len)
{
    static const char *const names[] = {
        "tern", "local_ip",        "remote_ip",         "bind_port",         "connect_port",   "mtu",
        "mss",  "tolerance_usecs", "tolerance_percent", "tcp_ts_tick_usecs", "strict_segments"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
            return true;
    return false;
}

/* NAME=VALUE of the caller, before the script's own. */
static void read_given(struct run *r, const char *text)
{
    char name[40] = "";
    const char *value = strchr(text, '=');
    size_t len = value ? (size_t)(value - text) : strlen(text);
    struct script_option o = {.name = name, .value = value ? value + 1 : "", .line = 1, .column = 1};
    if (len < sizeof name) {
        memcpy(name, text, len);
        read_option(r, &o);
    }
}

void settings_read(struct run *r)
{
    static const struct event nowhere = {.line = 1, .column = 1};
    tern_ip remote6 = {{0x20, 0x01, 0x0d, 0xb8, [15] = 1}};
    tern_ip local6 = {{0xfd, 0x3d, 0xfa, 0x7b, 0xd1, 0x7d, [15] = 1}};
    r->set = (struct settings){
        .local = r->s->v6 ? local6 : tern_ip4(192, 168, 0, 1),
        .remote = r->s->v6 ? remote6 : tern_ip4(192, 0, 2, 1),
        .bind_port = PORT,
        .connect_port = PORT,
        .mtu = MTU,
        .tolerance_us = TOLERANCE_US,
        .tolerance_ppm = TOLERANCE_PPM,
        .memory = MEMORY,
    };
    for (const char *const *text = r->options->settings; text != NULL && *text != NULL; text++)
        read_given(r, *text);
    for (const struct script_option *o = r->s->options; o != NULL; o = o->next) {
        struct event here = nowhere;
        here.line = o->line;
        here.column = o->column;
        r->event = &here;
        read_option(r, o);
        r->event = NULL;
    }
}
