/* print.c - packets in the notation of the scripts. */
#include "check/run.h"

#include <stdarg.h>
#include <stdio.h>

struct text {
    char *v;
    size_t len, cap;
};

static void add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->v + t->len, t->cap - t->len, format, args);
    va_end(args);
    t->len += n > 0 ? (size_t)n : 0;
    if (t->len >= t->cap)
        t->len = t->cap - 1;
}

static void add_marks(struct text *t, const struct packet_spec *k)
{
    static const char *const ecn[] = {"noecn", "ect1", "ect0", "ce"};
    if (k->tos_check == TOS_ECN)
        add(t, "[%s] ", ecn[k->tos & 3]);
    else if (k->tos_check == TOS_ECT)
        add(t, "[ect01] ");
    else if (k->tos_check == TOS_ALL)
        add(t, "[tos 0x%02x] ", k->tos);
    if (k->ttl)
        add(t, "[ttl %u] ", k->ttl);
    if (k->has_flow)
        add(t, "[flowlabel 0x%05x] ", k->flow_label);
}

static void add_flags(struct text *t, uint16_t flags)
{
    static const char letters[] = "FSRP.UEWA";
    static const uint8_t order[] = {0, 1, 2, 3, 5, 6, 7, 8, 4};
    if (flags == 0)
        add(t, "-");
    for (int i = 0; i < 9; i++)
        if (flags >> order[i] & 1)
            add(t, "%c", letters[order[i]]);
}

static void add_option(struct text *t, const struct tcp_option *o)
{
    static const char *const plain[] = {
        [OPTION_EOL] = "eol", [OPTION_NOP] = "nop", [OPTION_SACK_OK] = "sackOK"};
    if (o->raw_len) {
        add(t, "raw ");
        for (uint32_t i = 0; i < o->raw_len; i++)
            add(t, "%02x", o->raw[i]);
    } else if (o->kind == OPTION_MSS) {
        add(t, "mss %u", o->mss);
    } else if (o->kind == OPTION_WSCALE) {
        add(t, "wscale %u", o->wscale);
    } else if (o->kind == OPTION_TS) {
        add(t, "TS val %u ecr %u", o->ts_val, o->ts_ecr);
    } else if (o->kind == OPTION_SACK) {
        add(t, "sack");
        for (uint32_t i = 0; i < o->n_sack; i++)
            add(t, " %u:%u", o->sack[i].left, o->sack[i].right);
    } else {
        add(t, "%s", plain[o->kind]);
    }
}

const char *print_spec(const struct packet_spec *k, char *buf, size_t len)
{
    struct text t = {.v = buf, .cap = len};
    buf[0] = 0;
    add(&t, "%c ", k->outbound ? '>' : '<');
    add_marks(&t, k);
    if (k->has_ports)
        add(&t, "%u > %u ", k->src_port, k->dst_port);
    add_flags(&t, k->flags);
    add(&t, " %u:%u(%u)", k->seq, k->seq + k->len, k->len);
    if (k->has_ack)
        add(&t, " ack %u", k->ack);
    if (k->has_win)
        add(&t, " win %u", k->win);
    if (k->urg)
        add(&t, " urg %u", k->urg);
    if (k->any_options)
        add(&t, " <...>");
    for (uint32_t i = 0; i < k->n_options; i++) {
        add(&t, "%s", i ? "," : " <");
        add_option(&t, &k->options[i]);
    }
    if (k->n_options)
        add(&t, ">");
    return buf;
}
