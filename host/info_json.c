/* info_json.c - tables of fields, so that a name is written once. */
#include "host/info_json.h"

#include <string.h>

struct field {
    const char *name;
    size_t offset;
    uint8_t size; /* bytes; unsigned */
    bool yes_no;
};

#define NUMBER(type, f)                                      \
    {                                                        \
#f, offsetof(type, f), sizeof(((type *)0)->f), false \
    }
#define YES_NO(type, f)                                     \
    {                                                       \
#f, offsetof(type, f), sizeof(((type *)0)->f), true \
    }

static const struct field info_fields[] = {
    NUMBER(tern_info, conn),
    YES_NO(tern_info, listener),
    YES_NO(tern_info, held),
    YES_NO(tern_info, unaccepted),
    YES_NO(tern_info, eof_read),
    YES_NO(tern_info, fin_rcvd),
    YES_NO(tern_info, fin_sent),
    YES_NO(tern_info, fin_acked),
    NUMBER(tern_info, opened_us),
    NUMBER(tern_info, state_since_us),
    NUMBER(tern_info, last_rx_us),
    NUMBER(tern_info, last_tx_us),
    NUMBER(tern_info, eof_us),
    NUMBER(tern_info, recv_queue),
    NUMBER(tern_info, recv_ooo),
    NUMBER(tern_info, send_queue),
    NUMBER(tern_info, send_unacked),
    NUMBER(tern_info, urgent),
    NUMBER(tern_info, rcv_wnd),
    NUMBER(tern_info, snd_wnd),
    NUMBER(tern_info, cwnd),
    NUMBER(tern_info, ssthresh),
    NUMBER(tern_info, in_flight),
    NUMBER(tern_info, mss),
    NUMBER(tern_info, snd_wscale),
    NUMBER(tern_info, rcv_wscale),
    YES_NO(tern_info, timestamps),
    YES_NO(tern_info, sack),
    YES_NO(tern_info, ecn),
    YES_NO(tern_info, wscale),
    NUMBER(tern_info, iss),
    NUMBER(tern_info, irs),
    NUMBER(tern_info, srtt_us),
    NUMBER(tern_info, rttvar_us),
    NUMBER(tern_info, rto_us),
    NUMBER(tern_info, min_rtt_us),
    NUMBER(tern_info, timer_us),
    NUMBER(tern_info, backoff),
    NUMBER(tern_info, probes),
    NUMBER(tern_info, bytes_sent),
    NUMBER(tern_info, bytes_acked),
    NUMBER(tern_info, bytes_received),
    NUMBER(tern_info, bytes_retransmitted),
    NUMBER(tern_info, segs_out),
    NUMBER(tern_info, segs_in),
    NUMBER(tern_info, retransmits),
    NUMBER(tern_info, fast_retransmits),
    NUMBER(tern_info, timeouts),
    NUMBER(tern_info, dup_acks_in),
    NUMBER(tern_info, ooo_in),
    NUMBER(tern_info, challenge_acks),
    NUMBER(tern_info, dsacks),
    NUMBER(tern_info, icmp_type),
    NUMBER(tern_info, icmp_code),
    NUMBER(tern_info, ttl_in),
    NUMBER(tern_info, dscp_in),
    NUMBER(tern_info, backlog),
    NUMBER(tern_info, halfopen),
    NUMBER(tern_info, acceptq),
    NUMBER(tern_info, accept_oldest_us),
    NUMBER(tern_info, refused_full),
    NUMBER(tern_info, left_unaccepted),
    NUMBER(tern_info, data),
};

static const struct field stats_fields[] = {
#define STAT(name, text) NUMBER(tern_stats, name),
#include <tern/counters.def>
#undef STAT
};

static const struct field live_fields[] = {
    NUMBER(tern_live, listeners),  NUMBER(tern_live, halfopen), NUMBER(tern_live, tcbs),
    NUMBER(tern_live, asleep),     NUMBER(tern_live, timewait), NUMBER(tern_live, timewait_held),
    NUMBER(tern_live, chunks),     NUMBER(tern_live, sendrecs), NUMBER(tern_live, ranges),
    NUMBER(tern_live, timers),     NUMBER(tern_live, pieces),   NUMBER(tern_live, lent),
    NUMBER(tern_live, returned),   NUMBER(tern_live, kept),     NUMBER(tern_live, taken),
    NUMBER(tern_live, fragments),  NUMBER(tern_live, replies),  NUMBER(tern_live, neighbours),
    NUMBER(tern_live, held),       NUMBER(tern_live, arena_used),
    NUMBER(tern_live, arena_free),
};

#define COUNT(table) (sizeof table / sizeof table[0])

static uint64_t read_number(const void *from, uint8_t size)
{
    uint8_t n8;
    uint16_t n16;
    uint32_t n32;
    uint64_t n64;
    switch (size) {
    case 1: return memcpy(&n8, from, size), n8;
    case 2: return memcpy(&n16, from, size), n16;
    case 4: return memcpy(&n32, from, size), n32;
    default: return memcpy(&n64, from, size), n64;
    }
}

static void add_fields(json_t *o, const void *from, const struct field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t v = read_number((const char *)from + fields[i].offset, fields[i].size);
        json_object_set_new(o, fields[i].name,
                            fields[i].yes_no ? json_boolean(v) : json_integer((json_int_t)v));
    }
}

static void add_text(json_t *o, const char *name, const char *text)
{
    json_object_set_new(o, name, json_string(text));
}

static void add_number(json_t *o, const char *name, json_int_t v)
{
    json_object_set_new(o, name, json_integer(v));
}

static void add_endpoint(json_t *o, const char *name, const char *port_name, const tern_endpoint *e)
{
    char buf[46];
    add_text(o, name, tern_ip_text(&e->ip, buf));
    add_number(o, port_name, e->port);
}

static void add_cause(json_t *o, uint16_t cause)
{
    enum tern_cause c = cause < TERN_CAUSES ? (enum tern_cause)cause : TERN_CAUSE_NONE;
    add_text(o, "cause", tern_cause_name(c));
    add_text(o, "rule", tern_cause_rule(c));
    add_text(o, "text", tern_cause_text(c));
}

static void add_error(json_t *o, const char *name, const char *text_name, int error)
{
    add_number(o, name, error);
    add_text(o, text_name, error < 0 ? strerror(-error) : "");
}

const char *info_timer_name(uint8_t timer)
{
    static const char *const names[TERN_TIMERS] = {
        [TERN_TIMER_NONE] = "none",
        [TERN_TIMER_RETRANSMIT] = "retransmit",
        [TERN_TIMER_PERSIST] = "persist",
        [TERN_TIMER_DELACK] = "delayed ack",
        [TERN_TIMER_KEEPALIVE] = "keepalive",
        [TERN_TIMER_FIN_WAIT_2] = "FIN_WAIT_2",
        [TERN_TIMER_TIME_WAIT] = "2 MSL",
        [TERN_TIMER_PACE] = "pace",
        [TERN_TIMER_TAIL_PROBE] = "tail probe",
        [TERN_TIMER_REORDER] = "reordering",
    };
    return timer < TERN_TIMERS ? names[timer] : "unknown";
}

static json_t *history_json(const tern_info *info)
{
    json_t *list = json_array();
    for (int i = 0; i < TERN_HISTORY && info->history[i].cause != 0; i++) {
        json_t *o = json_object();
        add_text(o, "from", tern_state_name((enum tern_state)info->history[i].from));
        add_text(o, "to", tern_state_name((enum tern_state)info->history[i].to));
        add_number(o, "t_us", (json_int_t)info->history[i].t_us);
        add_cause(o, info->history[i].cause);
        json_array_append_new(list, o);
    }
    return list;
}

json_t *tern_info_json(const tern_info *info)
{
    json_t *o = json_object();
    add_endpoint(o, "local", "local_port", &info->local);
    add_endpoint(o, "remote", "remote_port", &info->remote);
    add_number(o, "zone", info->local.zone);
    add_text(o, "state", tern_state_name((enum tern_state)info->state));
    add_cause(o, info->reason);
    add_error(o, "error", "error_text", info->error);
    add_error(o, "soft_error", "soft_error_text", info->soft_error);
    add_text(o, "timer", info_timer_name(info->timer));
    json_object_set_new(o, "history", history_json(info));
    add_fields(o, info, info_fields, COUNT(info_fields));
    return o;
}

json_t *tern_stats_json(const tern_stats *stats)
{
    json_t *o = json_object();
    add_fields(o, stats, stats_fields, COUNT(stats_fields));
    return o;
}

json_t *tern_dropped_json(const tern_stats *stats)
{
    json_t *o = json_object();
    for (int c = 0; c < TERN_CAUSES; c++)
        if (stats->dropped[c] > 0)
            add_number(o, tern_cause_name((enum tern_cause)c), (json_int_t)stats->dropped[c]);
    return o;
}

json_t *tern_live_json(const tern_live *live)
{
    json_t *o = json_object();
    add_fields(o, live, live_fields, COUNT(live_fields));
    return o;
}
