/* in_synsent.c - a segment in SYN_SENT (RFC 9293 3.10.7.3), in the RFC's order. */
#include "tcp/tcp.h"

/* The peer's SYN: its number and what it offers. */
static void take_syn(struct tern *t, struct tcb *c, const struct segment *s)
{
    struct rcv *r = &c->rcv;
    uint8_t shift = settings(t)->wscale ? options_wscale(c->set.recv_buffer) : WSCALE_NONE;
    uint32_t wnd = rcv_wnd(r);
    bool ecn_asked = c->opt.ecn;
    options_agree(t, s, shift, &c->opt);
    /* RFC3168-6.1.1-dh: SYN+ACK says ECE without CWR; a crossing SYN says both; all else means no */
    uint8_t ecn = s->flags & (F_ECE | F_CWR);
    c->opt.ecn = ecn_asked && ((s->flags & F_ACK) ? ecn == F_ECE : ecn == (F_ECE | F_CWR));
    r->irs = s->seq;
    r->nxt = seq_add(s->seq, 1);
    r->adv = seq_add(r->nxt, wnd);
    chunkq_init(&r->q, r->nxt.v);
    c->ts.recent = s->opt.ts_val;
    c->ts.recent_us = t->w->now;
    c->ts.last_ack_sent = r->nxt;
    c->snd.mss = options_mss(&c->opt, c->snd.mtu_mss, c->set.max_seg);
    cc_init(&c->cc, c->cc.algo, c->snd.mss);
    recovery_begin(c);
}

static void note_rtt(struct tern *t, struct tcb *c)
{
    struct sendrec *syn = c->list.seq.head != 0 ? at(t->a, c->list.seq.head) : NULL;
    bool slept = syn != NULL && across_jump(t, syn->sent_us);
    if (syn != NULL && syn->times == 1 && syn->sent_us != 0 && !slept)
        rtt_sample(&c->rtt, (uint32_t)min_u64(t->w->now - syn->sent_us, 1u << 29), settings(t));
    else if (syn != NULL && !slept) /* RFC6298-5.7-a: the SYN was repeated; start with 3 s */
        c->rtt.rto_us = max_u32(3000000, settings(t)->rto_min_us);
    c->rtt.backoff = 0;
}

/* It is in flight no more. */
static void forget_syn(struct tern *t, struct tcb *c, seq_t ack)
{
    const struct sendrec *syn = c->list.seq.head != 0 ? at(t->a, c->list.seq.head) : NULL;
    struct acked a = {0};
    if (LIKELY(syn != NULL && syn->flags == 0 && syn->times == 1 && c->list.count == 1 && !by_steps(t))) {
        sendlist_take_only(t, &c->list);
        return;
    }
    if (syn != NULL && syn->times > 2)
        c->cc.cwnd = c->snd.mss; /* RFC5681-3.1-d, RFC 6928 2: more than one SYN lost means one segment */
    sendlist_ack(t, &c->list, ack, &a);
}

/* Fourth, our SYN is acknowledged. */
static enum tern_cause open_now(struct tern *t, struct tcb *c, const struct segment *s)
{
    note_rtt(t, c);
    forget_syn(t, c, s->ack);
    c->snd.una = s->ack;
    c->snd.syn_acked = true;
    ack_take_window(c, s);
    state_change(t, &c->h, TERN_C_SYNACK_RCVD, TERN_ESTABLISHED);
    timer_progress(t, c);
    timer_keepalive(t, c);
    recv_ack_now(t, c, TERN_C_SEND_ACK_OF_SYN);
    face_raise(t, &c->h, TERN_CONNECTED);
    shortage_opened(t, c);
    /* other control or text: at the sixth step */
    if (s->len > 0 || (s->flags & (F_FIN | F_URG)))
        return in_text_and_fin(t, c, s);
    return TERN_CAUSE_NONE;
}

/* Fourth, without ACK: simultaneous open. Our SYN is sent again, now with the ACK, by output. */
static void cross(struct tern *t, struct tcb *c, const struct segment *s)
{
    ack_take_window(c, s);
    state_change(t, &c->h, TERN_C_SYN_RCVD_SIMULTANEOUS, TERN_SYN_RCVD);
    recv_ack_now(t, c, TERN_C_SEND_SYNACK);
}

enum tern_cause in_synsent(struct tern *t, struct tcb *c, const struct segment *s)
{
    bool ack = (s->flags & F_ACK) != 0;
    /* first: ACK. ISS < SEG.ACK =< SND.NXT */
    if (ack && (!seq_gt(s->ack, c->snd.una) || seq_gt(s->ack, c->snd.nxt))) {
        if (s->flags & F_RST)
            return TERN_C_SYN_SENT_BAD_ACK_RST;
        reply_rst(t, s, TERN_C_SYN_SENT_BAD_ACK);
        return TERN_C_SYN_SENT_BAD_ACK;
    }
    /* second: RST. Nothing is known of the peer's numbers, so the ACK alone vouches for it
     * (RFC5961-3.2-f) */
    if (s->flags & F_RST) {
        if (!ack)
            return TERN_C_SYN_SENT_RST_NO_ACK;
        t->w->stats.resets_in++;
        tcb_end(t, c, TERN_C_REFUSED, -TERN_ECONNREFUSED);
        return TERN_CAUSE_NONE;
    }
    /* third: security and compartment: none here (RFC 9293 A.1.2) */
    /* fourth: SYN */
    if (s->flags & F_SYN) {
        take_syn(t, c, s);
        if (ack)
            return open_now(t, c, s);
        cross(t, c, s);
        return TERN_CAUSE_NONE;
    }
    /* fifth: neither SYN nor RST */
    return TERN_C_SYN_SENT_NO_SYN;
}
