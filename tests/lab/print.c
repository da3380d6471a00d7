/* print.c - segments and trace records as text, for tests that fail. */
#include "lab/lab.h"

static void flag_letters(uint8_t flags, char out[9])
{
    static const char letters[] = "FSRPAUEW";
    char *p = out;
    for (int i = 0; i < 8; i++)
        if (flags & (1 << i))
            *p++ = letters[i];
    if (p == out)
        *p++ = '-';
    *p = 0;
}

static void print_options(FILE *f, const struct lab_flow *fl, bool of_peer, const struct tcp_opts *o)
{
    fprintf(f, " <");
    if (o->mss)
        fprintf(f, "mss %u,", o->mss);
    if (o->wscale != WSCALE_NONE)
        fprintf(f, "wscale %u,", o->wscale);
    if (o->sack_ok)
        fprintf(f, "sackOK,");
    if (o->ts)
        fprintf(f, "ts %u ecr %u,", of_peer ? o->ts_val : o->ts_val - fl->ts_first,
                of_peer ? o->ts_ecr - fl->ts_first : o->ts_ecr);
    for (int i = 0; i < o->n_sack; i++)
        fprintf(f, "%s%u:%u", i ? " " : "sack ", o->sack[i].left.v - (of_peer ? fl->iss : fl->peer_iss),
                o->sack[i].right.v - (of_peer ? fl->iss : fl->peer_iss));
    fprintf(f, ">");
}

void lab_print_segment(FILE *f, const struct lab *l, int flow, bool of_peer, const struct segment *s)
{
    static const char *const ecn[] = {"", " ect1", " ect0", " ce"};
    const struct lab_flow *fl = &l->flow[flow < 0 ? 0 : flow];
    char letters[9];
    uint32_t base = of_peer ? fl->peer_iss : fl->iss;
    flag_letters(s->flags, letters);
    bool scaled = fl->peer_ws && fl->tern_ws && !(s->flags & F_SYN);
    uint32_t shift = scaled ? (of_peer ? fl->peer_shift : fl->tern_shift) : 0;
    fprintf(f, "%s%s %d", flow < 0 ? "(unknown connection) " : "", letters, (int)(s->seq.v - base));
    if (s->len)
        fprintf(f, ":%d(%u)", (int)(s->seq.v - base + s->len), s->len);
    if (s->flags & F_ACK)
        fprintf(f, " ack %d", (int)(s->ack.v - (of_peer ? fl->iss : fl->peer_iss)));
    fprintf(f, " win %u", (uint32_t)s->wnd << shift);
    if (s->flags & F_URG)
        fprintf(f, " urg %u", s->up);
    fprintf(f, "%s", ecn[s->tos & 3]);
    print_options(f, fl, of_peer, &s->opt);
    if (flow < 0)
        fprintf(f, " absolute seq %u ack %u", s->seq.v, s->ack.v);
}

static const char *kind_name(uint8_t kind)
{
    static const char *const names[] = {
        "NONE",
#define TRACE_EVENT(name, text) #name,
#include <tern/events.def>
#undef TRACE_EVENT
    };
    return kind < TERN_TRACE_KINDS ? names[kind] : "?";
}

static void print_record(FILE *f, const tern_trace_record *r)
{
    char letters[9];
    fprintf(f, "#   %10.3f ms #%llu %-11s %s", (double)r->t_us / 1000.0, (unsigned long long)r->conn,
            kind_name(r->kind), tern_state_name(r->state));
    if (r->kind == TERN_TRACE_STATE)
        fprintf(f, " -> %s", tern_state_name(r->state_to));
    if (r->kind == TERN_TRACE_SEG_IN || r->kind == TERN_TRACE_SEG_OUT || r->kind == TERN_TRACE_DROP) {
        bool in = r->kind != TERN_TRACE_SEG_OUT;
        flag_letters(r->tcp_flags, letters);
        fprintf(f, " %s %d+%u ack %d win %u sacks %u ecn %u", letters, (int)(r->seq - (in ? r->irs : r->iss)),
                r->len, (int)(r->ack - (in ? r->iss : r->irs)), r->wnd, r->n_sack, r->ecn);
    }
    if (r->cause)
        fprintf(f, " [%s]", tern_cause_name(r->cause));
    fprintf(f, " a=%llu b=%llu c=%llu\n", (unsigned long long)r->a, (unsigned long long)r->b,
            (unsigned long long)r->c);
}

void lab_print_trace(FILE *f, struct lab *l, int last)
{
    tern_trace_record *r = malloc(4096 * sizeof(*r));
    int n = r ? tern_trace_take(l->t, r, 4096, NULL) : 0;
    fprintf(f, "#   now %.3f ms; the last of %d trace records:\n", (double)l->now / 1000.0, n);
    for (int i = n > last ? n - last : 0; i < n; i++)
        print_record(f, &r[i]);
    for (size_t i = 0; i < l->n_outs; i++) {
        const struct lab_out *o = &l->outs[l->first_out + i];
        fprintf(f, "#   not yet looked at, sent at %.3f ms: ", (double)o->t / 1000.0);
        if (o->ip.proto == PROTO_TCP)
            lab_print_segment(f, l, o->flow, false, &o->seg);
        fprintf(f, "\n");
    }
    free(r);
}
