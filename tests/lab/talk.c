/* talk.c - performs the lines of a script: what the peer sends, and what tern must have sent. */
#include "lab/lab.h"

/* Bytes to the 16-bit field. */
static uint16_t window_field(struct lab *l, const struct lab_flow *f, const struct segment *s)
{
    bool scaled = f->peer_ws && f->tern_ws && !(s->flags & F_SYN);
    uint32_t field = scaled ? f->win >> f->peer_shift : f->win;
    if (field > 65535)
        lab_fail(l, "the script is wrong: window %u does not fit", f->win);
    return (uint16_t)field;
}

/* Fill in what the line left open, as a peer would. */
static void complete_in(struct lab *l, struct lab_line *line)
{
    struct lab_flow *f = &l->flow[line->flow];
    struct segment *s = &line->seg;
    if ((s->flags & F_ACK) && !line->has_ack)
        s->ack = seq(f->peer_nxt);
    if (line->has_win)
        f->win = line->win;
    bool agreed = f->peer_ts && f->tern_ts && !(s->flags & F_SYN);
    if (agreed && !s->opt.ts && !line->no_ts) {
        s->opt.ts = line->any_ts = true;
        s->opt.ts_ecr = s->flags & F_ACK ? f->ts_last : 0;
    }
    if (s->opt.ts && line->any_ts)
        s->opt.ts_val = (uint32_t)(l->now / 1000);
    s->wnd = window_field(l, f, s);
}

uint32_t lab_packet(struct lab *l, const char *text, uint8_t *buf)
{
    struct lab_line line;
    char with_dir[256];
    snprintf(with_dir, sizeof(with_dir), "< %s", text);
    lab_parse(l, with_dir, &line);
    complete_in(l, &line);
    return lab_build(l, line.flow, &line.seg, buf);
}

static void deliver_batch(struct lab *l)
{
    tern_rx(l->t, l->now, l->batch_pkts, l->n_batch);
    l->last_rx = l->batch_pkts[l->n_batch - 1];
    for (int i = 0; i < l->n_batch; i++)
        free(l->batch[i]);
    l->n_batch = 0;
    lab_collect(l);
}

static void say_in(struct lab *l, struct lab_line *line)
{
    uint8_t *buf = malloc(66000);
    assert_non_null(buf);
    if (line->timed) {
        lab_run(l, line->lo);
    } else {
        tern_tick(l->t, l->now);
    }
    if ((line->seg.flags & (F_SYN | F_ACK)) == F_SYN && !l->flow[line->flow].iss_known)
        lab_tune(l, line->flow, false);
    complete_in(l, line);
    lab_learn_in(l, line->flow, &line->seg);
    uint32_t len = lab_build(l, line->flow, &line->seg, buf);
    if (l->n_batch == 64)
        lab_fail(l, "the script is wrong: too large a batch");
    l->batch[l->n_batch] = realloc(buf, len);
    l->batch_pkts[l->n_batch] =
        (tern_rx_packet){.data = l->batch[l->n_batch], .len = len, .link = (uint8_t)l->link};
    l->n_batch++;
    if (!line->batch)
        deliver_batch(l);
    l->mark = l->now;
}

/* --- comparing --- */

static const char *differs_options(const struct lab_line *want, const struct tcp_opts *got)
{
    const struct tcp_opts *o = &want->seg.opt;
    if (want->any_mss ? got->mss == 0 : got->mss != o->mss)
        return "the MSS option differs";
    if (want->any_wscale ? got->wscale == WSCALE_NONE : got->wscale != o->wscale)
        return "the window scale option differs";
    if (got->sack_ok != o->sack_ok)
        return "SACK permitted differs";
    if (got->ts != o->ts)
        return "the timestamp option differs";
    if (o->ts && !want->any_ts && got->ts_val != o->ts_val)
        return "TSval differs";
    if (o->ts && want->has_ecr && got->ts_ecr != o->ts_ecr)
        return "TSecr differs";
    if (got->n_sack != o->n_sack)
        return "the number of SACK blocks differs";
    for (int i = 0; i < o->n_sack; i++)
        if (!seq_eq(o->sack[i].left, got->sack[i].left) || !seq_eq(o->sack[i].right, got->sack[i].right))
            return "a SACK block differs";
    return NULL;
}

static const char *differs_rest(const struct lab *l, const struct lab_line *want, const struct segment *got)
{
    const struct lab_flow *f = &l->flow[want->flow];
    bool scaled = f->peer_ws && f->tern_ws && !(got->flags & F_SYN);
    if (want->has_win && want->win != (scaled ? (uint32_t)got->wnd << f->tern_shift : got->wnd))
        return "the window differs";
    if (want->has_up && want->seg.up != got->up)
        return "the urgent pointer differs";
    if (want->has_tos_ecn && (want->seg.tos & 3) != (got->tos & 3))
        return "the ECN bits differ";
    if (want->has_dscp && want->seg.tos >> 2 != got->tos >> 2)
        return "the Diffserv field differs";
    if (want->has_ttl && want->seg.ttl != got->ttl)
        return "the TTL differs";
    return want->has_opts ? differs_options(want, &got->opt) : NULL;
}

static const char *differs(const struct lab *l, const struct lab_line *want, const struct lab_out *o)
{
    const struct segment *got = &o->seg;
    if (o->ip.proto != PROTO_TCP)
        return "it is not TCP";
    if (o->flow != want->flow)
        return "it belongs to another connection";
    if ((got->flags & ~F_PSH) != (want->seg.flags & ~F_PSH))
        return "the flags differ";
    if (want->psh && !(got->flags & F_PSH))
        return "PSH is missing";
    if (want->no_psh && (got->flags & F_PSH))
        return "PSH is set";
    if (!seq_eq(got->seq, want->seg.seq))
        return "the sequence number differs";
    if (got->len != want->seg.len)
        return "the length differs";
    if (want->has_ack && !seq_eq(got->ack, want->seg.ack))
        return "the acknowledgment number differs";
    return differs_rest(l, want, got);
}

static void print_got(struct lab *l, const struct lab_out *o)
{
    fprintf(stderr, "\n#   came at %+.3f ms: ", (double)(int64_t)(o->t - l->mark) / 1000.0);
    if (o->ip.proto == PROTO_TCP)
        lab_print_segment(stderr, l, o->flow, false, &o->seg);
    else
        fprintf(stderr, "a packet of protocol %u", o->ip.proto);
}

static uint64_t slack(uint64_t us)
{
    return us / 100 > MS ? us / 100 : MS;
}

static void say_none(struct lab *l, const struct lab_line *line)
{
    lab_run_until(l, l->mark + line->hi, true);
    if (lab_pending(l) > 0) {
        print_got(l, &l->outs[l->first_out]);
        lab_fail(l, "something came");
    }
    l->mark = l->now;
}

static void say_out(struct lab *l, const struct lab_line *line)
{
    if (line->none) {
        say_none(l, line);
        return;
    }
    uint64_t until =
        line->until_any ? l->now + 100000 * SEC : l->mark + line->hi + (line->timed ? slack(line->hi) : 0);
    lab_run_until(l, until, true);
    const struct lab_out *o = lab_next(l);
    if (!o)
        lab_fail(l, "nothing came");
    const char *why = differs(l, line, o);
    if (!why && line->timed && o->t + slack(line->lo) < l->mark + line->lo)
        why = "it came too early";
    if (!why && o->t > until)
        why = "it came too late";
    if (why) {
        print_got(l, o);
        lab_fail(l, "%s", why);
    }
    l->mark = o->t;
}

/* --- state and info --- */

static void say_state(struct lab *l, const struct lab_line *line)
{
    if (line->timed)
        lab_run(l, line->lo), l->mark = l->now;
    const char *is = tern_state_name(lab_state(l, line->flow));
    size_t n = strcspn(line->rest, " ");
    if (strlen(is) != n || strncmp(is, line->rest, n) != 0)
        lab_fail(l, "the state is %s", is);
}

#define FIELD(name)                                                      \
    {                                                                    \
#name, offsetof(tern_info, name), sizeof(((tern_info *)0)->name) \
    }
static const struct {
    const char *name;
    size_t offset, size;
} fields[] = {
    FIELD(held),
    FIELD(unaccepted),
    FIELD(eof_read),
    FIELD(fin_rcvd),
    FIELD(fin_sent),
    FIELD(fin_acked),
    FIELD(recv_queue),
    FIELD(link),
    FIELD(recv_ooo),
    FIELD(send_queue),
    FIELD(send_unacked),
    FIELD(urgent),
    FIELD(rcv_wnd),
    FIELD(snd_wnd),
    FIELD(cwnd),
    FIELD(ssthresh),
    FIELD(in_flight),
    FIELD(mss),
    FIELD(snd_wscale),
    FIELD(rcv_wscale),
    FIELD(timestamps),
    FIELD(sack),
    FIELD(ecn),
    FIELD(wscale),
    FIELD(srtt_us),
    FIELD(rttvar_us),
    FIELD(rto_us),
    FIELD(min_rtt_us),
    FIELD(backoff),
    FIELD(probes),
    FIELD(bytes_sent),
    FIELD(bytes_acked),
    FIELD(bytes_received),
    FIELD(bytes_retransmitted),
    FIELD(retransmits),
    FIELD(fast_retransmits),
    FIELD(timeouts),
    FIELD(dup_acks_in),
    FIELD(ooo_in),
    FIELD(challenge_acks),
    FIELD(dsacks),
    FIELD(ttl_in),
    FIELD(dscp_in),
    FIELD(icmp_type),
    FIELD(icmp_code),
    FIELD(timer),
    FIELD(error),
    FIELD(soft_error),
    FIELD(refused_full),
    FIELD(left_unaccepted),
};

static long long value_of(const tern_info *info, size_t offset, size_t size)
{
    const uint8_t *p = (const uint8_t *)info + offset;
    uint64_t v64;
    int32_t v32;
    if (size == 8)
        return (long long)(memcpy(&v64, p, 8), v64);
    if (size == 4)
        return (memcpy(&v32, p, 4), v32);
    return *p;
}

static void say_info(struct lab *l, const struct lab_line *line)
{
    char name[64] = "", want[64] = "";
    tern_info info;
    if (sscanf(line->rest, "%63s %63s", name, want) != 2)
        lab_fail(l, "the script is wrong");
    if (!lab_info(l, line->flow, &info))
        lab_fail(l, "the connection does not exist");
    if (strcmp(name, "reason") == 0) {
        if (strcmp(want, tern_cause_name(info.reason)) != 0)
            lab_fail(l, "the reason is %s", tern_cause_name(info.reason));
        return;
    }
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (strcmp(name, fields[i].name) == 0) {
            long long got = value_of(&info, fields[i].offset, fields[i].size);
            if (got != atoll(want))
                lab_fail(l, "%s is %lld", name, got);
            return;
        }
    lab_fail(l, "the script is wrong: no field %s", name);
}

static void perform(struct lab *l, const char *text)
{
    struct lab_line line;
    lab_parse(l, text, &line);
    switch (line.dir) {
    case '<': say_in(l, &line); break;
    case '>': say_out(l, &line); break;
    case '=': say_state(l, &line); break;
    case '?': say_info(l, &line); break;
    default:
        if (line.timed)
            lab_run(l, line.lo);
        lab_call(l, line.flow, line.rest);
        l->mark = l->now;
        break;
    }
}

void lab_talk(struct lab *l, const char *file, int line, const char *script)
{
    char text[512];
    while (*script) {
        size_t n = strcspn(script, "\n");
        assert_true(n < sizeof(text));
        memcpy(text, script, n);
        text[n] = 0;
        while (n > 0 && text[n - 1] == ' ')
            text[--n] = 0;
        l->file = file, l->line = line, l->line_text = text;
        if (text[strspn(text, " ")] != 0)
            perform(l, text);
        script += strcspn(script, "\n");
        script += *script == '\n';
    }
    l->line_text = NULL;
}

void lab_talkf(struct lab *l, const char *file, int line, const char *fmt, ...)
{
    char script[4096];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(script, sizeof(script), fmt, ap);
    va_end(ap);
    assert_in_range(n, 0, sizeof(script) - 1);
    lab_talk(l, file, line, script);
}
