/* tcp.h - what the files of this room offer each other and the rooms above.
 *
 * Grouped by file. Everything takes the stack first, the record second; `now` is t->w->now, set once by each
 * verb.
 */
#ifndef TCP_TCP_H
#define TCP_TCP_H

#include "tcp/flight.h"
#include "tcp/conn.h"
#include "tcp/state.h"
#include "tcp/tell.h"
#include "tcp/world.h"

/* demux.c: 4-tuple to record (half-open, tcb, idle, timewait; rec_kind tells which); 0 = none. `link` counts
 * when one of the addresses is link-local. */
ref_t demux_find(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote, uint8_t link);
/* the same; where there is none, `gap` says where it would stand */
struct demux_gap {
    uint32_t pair, changes;
    struct htab_iter at;
};
ref_t demux_find_gap(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote, uint8_t link,
                     struct demux_gap *gap);
bool demux_insert_gap(struct tern *t, ref_t r, const struct demux_gap *gap); /* false: no memory */
/* the record in TIME_WAIT that waits behind a half-open one of the same 4-tuple (time_wait_park); 0 = none */
ref_t demux_find_parked(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote,
                        uint8_t link);
/* the hash of a segment's pair, and the record by it; the hash of a record's */
uint32_t demux_pair(const struct tern *t, const struct segment *s);
uint32_t demux_pair_of(struct tern *t, ref_t r);
ref_t demux_find_segment(struct tern *t, const struct segment *s);
bool demux_insert(struct tern *t, ref_t r); /* false: no memory */
bool demux_insert_pair(struct tern *t, ref_t r, uint32_t pair); /* the hash is known (demux_pair) */
void demux_remove(struct tern *t, ref_t r);
void demux_replace(struct tern *t, ref_t from, ref_t to); /* of the same 4-tuple: cannot fail */
void demux_replace_pair(struct tern *t, uint32_t pair, ref_t from, ref_t to); /* whose hash is known */
void demux_exchange(struct tern *t, uint32_t pair, ref_t from, ref_t to); /* an idle record and its tcb */
uint32_t demux_hash(const struct tern *t, const struct who *w);
struct listener *demux_listener(struct tern *t, const tern_ip *local, uint16_t port, uint8_t link);
bool demux_listens(struct tern *t, uint16_t port);
struct listener *demux_listener_exact(struct tern *t, const tern_ip *local, uint16_t port, uint8_t zone);
bool demux_listener_insert(struct tern *t, struct listener *l);
void demux_listener_remove(struct tern *t, struct listener *l);

/* Whether the clock has jumped since: then the time from there to now is no measure of anything. */
static inline bool across_jump(const struct tern *t, uint64_t since_us) { return since_us < t->w->jump_us; }

/* conn.c: what every record needs. */
static inline const struct settings *settings(const struct tern *t) { return &t->w->set; }
/* No short way is taken. A small chip has none: there each costs more flash than it saves time. */
static inline bool by_steps(const struct tern *t) { return TERN_SMALL || t->w->by_steps; }
void options_default(const struct settings *s, struct options *o);
void conn_timer(struct tern *t, struct conn_head *h, uint64_t deadline); /* later ones are lazy */

uint64_t conn_number(struct tern *t); /* of the next connection; its low half is never 0 */

static inline bool synchronized(const struct tcb *c) { return c->h.state >= TERN_ESTABLISHED; }

/* life.c: records are made and unmade. */
struct tcb *tcb_new(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote, uint8_t home,
                    uint8_t way, const struct options *set); /* way: ip_way */
void tcb_discard(struct tern *t, struct tcb *c);  /* both its records; nothing leads to them */

/* What a handshake hands to the control block when it ends. */
struct opening {
    uint64_t conn;
    uint64_t opened_us;
    enum tern_state state; /* SYN_RCVD, or LISTEN: the listener's, with a cookie */
    enum tern_cause cause; /* why it is in it, */
    uint64_t since_us;     /* since when */
    seq_t iss, irs;
    uint32_t ts_recent;
    uint32_t rcv_wnd;      /* offered in the SYN+ACK, bytes */
    struct agreed opt;
    uint8_t sent;          /* SYN+ACKs */
    uint64_t sent_us;      /* the first; 0 = not known; valid while sent is 1 */
};
void tcb_from_opening(struct tern *t, const struct opening *o, struct tcb *c);
void tcb_end(struct tern *t, struct tcb *c, enum tern_cause cause, int error); /* to CLOSED; buffers go */
void tcb_release(struct tern *t, struct tcb *c);  /* the program lets go: frees it once it is CLOSED */
void tcb_time_wait(struct tern *t, struct tcb *c, enum tern_cause cause); /* to TIME_WAIT; starts 2 MSL */
void tcb_fin_wait_2(struct tern *t, struct tcb *c);
void tcb_rst_sent(struct tern *t, struct tcb *c);
void tcb_said_all(struct tern *t, struct tcb *c); /* nothing is left to send */

void life_bury(struct tern *t);                   /* frees what died */

/* idle.c: connections at rest. */
bool idle_new(struct tern *t, struct tcb *c); /* the record that the handle names; false: no memory */
void idle_free(struct tern *t, struct tcb *c);
/* Nothing of it is owed, queued, in flight or asked: what is at rest is silent, and not only that. */
bool idle_silent(const struct tcb *c);
uint64_t idle_due(const struct tern *t, const struct tcb *c); /* when it may rest; 0 = not as it is now */
bool idle_rest(struct tern *t, struct tcb *c); /* if it is due: true, and the control block is gone */
/* the same for one whose rest is only interrupted: as soon as nothing is to be done */
bool idle_go_back(struct tern *t, struct tcb *c);
static inline bool idle_back(struct tern *t, struct tcb *c)
{
    return UNLIKELY(c->interrupted) && idle_go_back(t, c);
}
bool idle_press(struct tern *t);               /* memory is short: true, some has come back */
/* NULL: no memory. Its timers are to be armed when what it was woken for is done (timer_rearm). By a segment:
 * the hash of its pair is known. */
struct tcb *idle_wake(struct tern *t, struct idle *i);
struct tcb *idle_wake_pair(struct tern *t, struct idle *i, uint32_t pair);
struct tcb *idle_fired(struct tern *t, struct idle *i); /* its timer: awake for keepalive, or NULL */
void idle_end_later(struct tern *t, struct idle *i, enum idle_end how); /* awake it would have been ended */

/* close.c: CLOSE and ABORT by state. */
void tcb_close_sending(struct tern *t, struct tcb *c, enum tern_cause cause);
void tcb_close(struct tern *t, struct tcb *c); /* and the handle is released */
void tcb_abort(struct tern *t, struct tcb *c);

/* idle_pack.c: the codec between the two. */
bool idle_fits(const struct tern *t, const struct tcb *c);
void idle_pack(const struct tcb *c, struct idle *i);
void idle_view(const struct tern *t, const struct idle *i, struct tcb *c); /* `c` zeroed: as it would wake */
void idle_addresses(const struct tern *t, const struct idle *i, tern_ip *local, tern_ip *remote);
uint64_t idle_conn(const struct idle *i);

/* face.c: readiness. */
void face_raise(struct tern *t, struct conn_head *h, uint32_t bits);
void face_soft_error(struct tern *t, struct tcb *c, int error, uint8_t icmp_type, uint8_t icmp_code);

/* input.c and its parts. Each returns why the segment was refused, or TERN_CAUSE_NONE. */
enum tern_cause tcp_input(struct tern *t, const struct segment *s);
enum tern_cause in_closed(struct tern *t, const struct segment *s);
enum tern_cause in_listen(struct tern *t, struct listener *l, const struct segment *s);
enum tern_cause in_halfopen(struct tern *t, struct halfopen *h, const struct segment *s);
enum tern_cause in_synsent(struct tern *t, struct tcb *c, const struct segment *s);
enum tern_cause in_timewait(struct tern *t, ref_t r, const struct segment *s);
enum tern_cause in_synchronized(struct tern *t, struct tcb *c, const struct segment *s);
/* steps six to eight */
enum tern_cause in_text_and_fin(struct tern *t, struct tcb *c, const struct segment *s);

/* halfopen.c; `old`: the record in TIME_WAIT whose place the SYN may take, or 0 */
enum tern_cause halfopen_open(struct tern *t, struct listener *l, const struct segment *s, ref_t old);
void halfopen_end(struct tern *t, struct halfopen *h, enum tern_cause cause);
void halfopen_ips(const struct tern *t, const struct halfopen *h, tern_ip *local, tern_ip *remote);
bool halfopen_is(const struct tern *t, const struct halfopen *h, const tern_endpoint *local,
                 const tern_endpoint *remote, uint8_t link);
struct tcb *halfopen_grow(struct tern *t, struct halfopen *h, uint32_t pair); /* pair: its hash */
void halfopen_info(const struct tern *t, const struct halfopen *h, tern_info *out);
struct reply_synack;
void halfopen_synack(struct tern *t, const struct halfopen *h, struct who *who, struct reply_synack *a);

/* backlog.c: the queues of half-open records. */
void backlog_append(struct tern *t, struct listener *l, struct halfopen *h, uint32_t queue);
void backlog_remove(struct tern *t, struct listener *l, struct halfopen *h);
uint64_t backlog_sent_us(const struct tern *t, const struct halfopen *h); /* up to 3 us late */
uint64_t backlog_due_us(const struct tern *t, const struct halfopen *h); /* not in QUEUE_NOW */
uint64_t backlog_opened_us(const struct tern *t, const struct halfopen *h); /* when the SYN came */
struct halfopen *backlog_oldest_repeated(struct tern *t, struct listener *l);
void backlog_slept(struct tern *t, uint64_t us); /* the clock has jumped so far */
void backlog_timer(struct tern *t, struct listener *l);
void backlog_set(struct tern *t, struct listener *l); /* its deadline is in the wheel */
bool backlog_output(struct tern *t, struct listener *l, tern_tx_packet *out);

/* cookie.c */
enum tern_cause cookie_answer(struct tern *t, struct listener *l, const struct segment *s);
bool cookie_awaited(const struct tern *t, const struct listener *l); /* an ACK may be one of ours */
enum tern_cause cookie_ack(struct tern *t, struct listener *l, const struct segment *s);
/* the ACK is of a cookie that was sent here, though there is a record now; what was agreed */
bool cookie_came_late(struct tern *t, const struct listener *l, const struct segment *s, struct agreed *out);
void cookie_set_key(struct tern *t, struct sipkey key, uint64_t shared_us);

/* sketch.c: how often a key was added, less what was taken back: never too low, seldom too high. */
uint64_t sketch_source(const struct tern *t, const tern_ip *ip);
uint32_t sketch_count(const struct sketch *s, uint64_t key);
void sketch_add(struct sketch *s, uint64_t key);
void sketch_take(struct sketch *s, uint64_t key);

/* listener.c */
uint32_t listener_offer(struct listener *l); /* window of its SYN+ACKs, bytes */
uint16_t listener_mss(struct tern *t, const struct listener *l, const struct who *who);
void listener_enqueue(struct tern *t, struct listener *l, struct tcb *c);
struct tcb *listener_dequeue(struct tern *t, struct listener *l);
void listener_left(struct tern *t, struct tcb *c);
void listener_drain(struct tern *t, struct listener *l);
void listener_refuses(struct tern *t, struct halfopen *h); /* RST, and the record goes */
void listener_end(struct tern *t, struct listener *l);

/* timewait.c; r: a record in TIME_WAIT, small or control block. Parked: a half-open successor is tried (RFC
 * 9293 3.6.1); both stand in the table, and demux_find passes over the parked one. Its 2 MSL go on, also to
 * their end. */
void time_wait_park(struct tern *t, ref_t r);
void time_wait_unpark(struct tern *t, ref_t r);
seq_t time_wait_snd_nxt(struct tern *t, ref_t r); /* SND.NXT of the old connection: a new ISS lies above */
void time_wait_gives_way(struct tern *t, ref_t r); /* its successor is ESTABLISHED: it ends */

/* waiting.c: the small records of TIME_WAIT. */
bool waiting_add(struct tern *t, const struct tcb *c); /* takes c's place in the table; false: no memory */
void waiting_restart(struct tern *t, ref_t r);         /* 2 MSL begin anew; the record may move */
/* its home is no more, if it is among these links (bits); a later link of that number is another */
void waiting_follow(struct tern *t, ref_t r, uint32_t links_gone);
void waiting_end(struct tern *t, ref_t r, enum tern_cause cause);
bool waiting_over(struct tern *t, ref_t r);            /* its time has come, and it is gone */
void waiting_expire(struct tern *t);                   /* what is due ends, a bounded number at a time */
uint64_t waiting_due(const struct tern *t, ref_t r);
uint64_t waiting_next_deadline(const struct tern *t);  /* UINT64_MAX = none */
uint32_t waiting_live(const struct tern *t);
void waiting_pair(const struct tern *t, ref_t r, struct who *out); /* the pair; link 0: by route */
void waiting_who(const struct tern *t, ref_t r, struct who *out);
bool waiting_same(const struct tern *t, ref_t r, const tern_endpoint *local, const tern_endpoint *remote,
                  uint8_t link);
bool waiting_reusable(const struct tern *t, ref_t r); /* by our own connect (ports.c); r: any record */
enum tern_cause waiting_cause(const struct timewait *w); /* what led to TIME_WAIT */
/* the oldest are given up until so many pages can be had by MEM_DATA, or none is left, or enough is done for
 * one call */
COLD void waiting_recycle(struct tern *t, uint32_t pages);
static inline void waiting_make_room(struct tern *t, uint32_t pages)
{
    if (UNLIKELY(arena_room(t->a, MEM_DATA) < pages))
        waiting_recycle(t, pages);
}

/* accept_seq.c: step one, and RFC 5961. */
enum seq_verdict { SEQ_OK, SEQ_OUT, SEQ_OLD_ACK /* fails step one, but its ACK counts (RFC 9293 A.2) */ };
enum tern_cause accept_seq(struct tern *t, struct tcb *c, const struct segment *s, enum seq_verdict *verdict);
bool seq_acceptable(seq_t nxt, uint32_t wnd, const struct segment *s);
void challenge(struct tern *t, struct tcb *c, enum tern_cause why);
#define CHALLENGES   10       /* RFC5961-7-b: so many for each connection ... */
#define CHALLENGE_US 5000000u /* ... in this time */
bool challenge_allowed(struct tern *t, uint16_t *count, uint64_t *since);

/* ack.c: step five. */
enum tern_cause ack_segment(struct tern *t, struct tcb *c, const struct segment *s);
void ack_take_window(struct tcb *c, const struct segment *s);

/* recv.c: steps seven and eight, and when to acknowledge. */
enum tern_cause recv_text(struct tern *t, struct tcb *c, const struct segment *s);
bool recv_follow(struct tern *t, struct tcb *c, const struct follower *f, uint32_t seg, tern_sum_fn *verify,
                 struct keep *keep);
void recv_owe_ack(struct tern *t, struct tcb *c, uint32_t seg, uint32_t got, bool filled);
bool recv_fin_reached(const struct tcb *c);
void recv_ack_now(struct tern *t, struct tcb *c, enum tern_cause why);
void recv_urgent(struct tern *t, struct tcb *c, const struct segment *s);
void recv_read(struct tern *t, struct tcb *c); /* the program has read: the window may open */
/* payload goes to the end of a queue; how many bytes did */
uint32_t recv_store(struct tern *t, struct chunkq *q, struct keep *k, const uint8_t *data, uint32_t n,
                    enum mem_prio prio);

/* reasm.c: ranges above RCV.NXT. */
enum tern_cause reasm_add(struct tern *t, struct rcv *r, seq_t start, const uint8_t *data, uint32_t len,
                          struct keep *k);
/* what follows RCV.NXT now is moved to the queue; bytes */
/* Whether the byte of this number waits in a range. */
bool reasm_has(struct tern *t, struct rcv *r, seq_t n);
uint32_t reasm_pull(struct tern *t, struct rcv *r);
void reasm_clear(struct tern *t, struct rcv *r);
uint8_t reasm_sack(struct tern *t, const struct rcv *r, struct sack_block *out, uint8_t max);

/* rack.c */
void rack_update(struct tern *t, struct tcb *c, const struct segment *s, const struct acked *a);
/* `certain`: something is lost by number. Returns the bytes found lost; `*again`: a retransmission is among
 * them. */
uint32_t rack_detect(struct tern *t, struct tcb *c, bool certain, bool *again);
void rack_delivered(const struct tern *t, struct rack *r, uint64_t sent_us, seq_t end);
void rack_recovered(struct rack *r);

/* tlp.c */
#define ACK_DELAY_US 200000u /* TLP.max_ack_delay: a single segment may wait for a delayed ACK */

/* RFC 8985 7.2, 7.3: one at a time, and none before a round trip was measured since the last. */
static inline bool tlp_wanted(const struct tcb *c)
{
    return c->opt.sack && synchronized(c) && c->rec.phase == PHASE_OPEN && !c->tlp.out &&
           !c->tlp.unmeasured && c->list.count > 0 && c->list.sacked == 0 &&
           c->tm.rexmit == TERN_TIMER_RETRANSMIT && c->rtt.srtt_us != 0 && c->tm.retries == 0;
}

/* A FIN is no data (RFC 8985 7.2), and has nothing behind it that a SACK could tell of. */
static inline bool fin_alone(const struct tcb *c) { return c->snd.fin_sent && flight(&c->snd) == 1; }

/* RFC 8985 7.2: 2 * SRTT, longer when one segment alone is in flight, but at the latest when the timer would
 * fire. */
static inline void tlp_schedule(const struct tern *t, struct tcb *c)
{
    c->tm.tlp_us = 0;
    if (!tlp_wanted(c) || fin_alone(c))
        return;
    uint64_t pto = 2ull * c->rtt.srtt_us + (flight(&c->snd) <= c->snd.mss ? ACK_DELAY_US : 2000);
    c->tm.tlp_us = min_u64(t->w->now + pto, c->tm.rexmit_us);
}

void tlp_fired(struct tern *t, struct tcb *c);
void tlp_sent(struct tern *t, struct tcb *c, bool again);
bool tlp_repaired(struct tcb *c, const struct segment *s, const struct acked *a);

/* recovery.c: RFC 6675 and 6582, timeouts, ECN. */
void recovery_begin(struct tcb *c); /* the handshake is done: what its timeouts noted is void */
void recovery_grow(struct tern *t, struct tcb *c, uint32_t bytes);
void recovery_on_ack(struct tern *t, struct tcb *c, const struct acked *a);
void recovery_on_tail_repaired(struct tern *t, struct tcb *c);
void recovery_on_lost(struct tern *t, struct tcb *c, bool again);
void recovery_on_timeout(struct tern *t, struct tcb *c);
void recovery_on_ecn(struct tern *t, struct tcb *c, uint32_t in_flight);

/* cc.c */
struct cc_ops {
    void (*init)(struct cc *cc, uint32_t mss);
    void (*acked)(struct cc *cc, uint32_t bytes, uint32_t mss);
    uint32_t (*loss)(struct cc *cc, uint32_t in_flight, uint32_t mss); /* new ssthresh */
};
extern const struct cc_ops *const cc_table[];
void cc_init(struct cc *cc, uint8_t algo, uint32_t mss);
uint32_t cc_initial_window(uint32_t mss);
void cc_restart(struct cc *cc, uint32_t mss); /* after idle: RFC 5681 4.1 */

/* rtt.c */
void rtt_init(struct rtt *r, const struct settings *set);
void rtt_derive(struct rtt *r, const struct settings *set); /* the timeout, from SRTT and RTTVAR */
void rtt_sample(struct rtt *r, uint32_t us, const struct settings *set);
/* With back-off (MUST-19, RFC6298-5.5-a), bounded (RFC6298-2.5-a). */
static inline uint32_t rtt_timeout(const struct rtt *r, const struct settings *set)
{
    uint64_t v = (uint64_t)r->rto_us << (r->backoff < 16 ? r->backoff : 16);
    return (uint32_t)min_u64(v, set->rto_max_us);
}

/* timer.c */
void timer_settle(struct tern *t); /* the wheel learns of all that has changed: before it is asked */

/* Deadlines may have changed. Who stands on the ready list is looked at when its turn is over (output.c):
 * until then they would only change again. */
static inline void timer_rearm(struct tern *t, struct tcb *c)
{
    if (!c->h.ready && c->h.state != TERN_CLOSED)
        conn_unset(t, &c->h);
}
void timer_fire(struct tern *t, struct wnode *n); /* of whatever record it is in */
void timer_sent(struct tern *t, struct tcb *c); /* something is in flight now */
void timer_progress(struct tern *t, struct tcb *c); /* SND.UNA moved */
void timer_restart(struct tern *t, struct tcb *c);
void timer_answered(struct tern *t, struct tcb *c); /* an ACK came while the window is shut */
void timer_keepalive_set(struct tern *t, struct tcb *c); /* the option has changed */
/* something came in: what is not switched on has nothing to be set back */
static inline void timer_keepalive(struct tern *t, struct tcb *c)
{
    if (UNLIKELY(c->set.keepalive))
        timer_keepalive_set(t, c);
}
void timer_window(struct tern *t, struct tcb *c); /* window or queue changed: retransmit, persist or none */

/* shortage.c: memory for what is to be sent. */
void shortage_wait(struct tern *t, struct tcb *c);     /* a send was refused: WRITABLE will say when */
void shortage_writable(struct tern *t, struct tcb *c); /* its buffer has room: WRITABLE, or it waits */
void shortage_opened(struct tern *t, struct tcb *c);   /* the same, without a page kept */
void shortage_redeem(struct tern *t, struct tcb *c);   /* before a send: what is kept for it can be taken */
void shortage_leave(struct tern *t, struct tcb *c);    /* it sends no more */
void shortage_serve(struct tern *t);                   /* at the end of each verb */
uint64_t shortage_deadline(const struct tern *t);      /* UINT64_MAX = none */

/* window.c */
bool window_update_due(struct tern *t, struct tcb *c);
uint16_t window_field_up(uint32_t wnd, uint8_t shift);

/* nagle.c */
bool nagle_holds(const struct tcb *c, uint32_t len, bool last);

/* RFC5681-4.1-a: after idle longer than the timeout the congestion window says nothing any more. */
static inline bool restarts_after_idle(const struct tern *t, const struct tcb *c)
{
    return c->list.count == 0 && c->snd.last_us != 0 &&
           t->w->now - c->snd.last_us > rtt_timeout(&c->rtt, settings(t));
}

/* output.c */
bool conn_output(struct tern *t, struct conn_head *h, tern_tx_packet *out);
void tcp_build(struct tern *t, const struct segment *s, uint32_t payload, tern_tx_packet *out);
void segment_from_head(const struct conn_head *h, uint8_t link, struct segment *s);

/* reply.c */
bool reply_output(struct tern *t, tern_tx_packet *out);
struct reply *reply_to(struct tern *t, const struct segment *s); /* to be filled in; NULL: no room */
void reply_forget(struct tern *t, const tern_ip *local); /* drops what waits to be sent from there */
/* by RFC 9293 3.5.2 group 1 */
void reply_rst(struct tern *t, const struct segment *s, enum tern_cause cause);
void reply_rst_for(struct tern *t, const struct halfopen *h, seq_t at_seq);
void reply_refusal(struct tern *t, const struct halfopen *h); /* of a SYN that was not answered */
/* an ACK of a small record: <SEQ=seq><ACK=ack><CTL=ACK>; `ts`: with a timestamp that echoes ts_ecr */
struct reply_ack {
    seq_t seq, ack;
    uint16_t wnd;
    bool ts;
    uint32_t ts_ecr;
};
void reply_ack_for(struct tern *t, const void *record, const struct reply_ack *a, enum tern_cause why);
/* a SYN+ACK with these options, but for its timestamp */
struct reply_synack {
    seq_t iss, irs;
    uint16_t wnd;
    bool ecn;
    struct tcp_opts opt;
};
void reply_synack(struct tern *t, const struct who *who, const struct reply_synack *a);
/* at once; false: there is no way to the peer */
bool synack_build(struct tern *t, const struct who *who, const struct reply_synack *a, enum tern_cause why,
                  bool again, tern_tx_packet *out);

/* isn.c */
seq_t isn_for(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote, uint8_t link);
seq_t isn_make(struct tern *t, const void *record); /* the same of a record */
seq_t isn_make_above(struct tern *t, const void *record, seq_t used); /* of the same pair (RFC 9293 MAY-2) */
uint32_t stamp_offset(const struct tern *t, const tern_ip *local, const tern_ip *remote);
static inline uint32_t stamp_now(const struct tern *t, uint32_t offset)
{
    return stamp_at(t->w->now, offset);
}
uint32_t port_offset(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote);

/* ports.c. Chosen is local->port: 0, or PORT_IN_TIME_WAIT (a small record has it and gives way), or
 * -TERN_ENOSR. */
enum { PORT_IN_TIME_WAIT = 1 };
int port_choose(struct tern *t, tern_endpoint *local, const tern_endpoint *remote, uint8_t link,
                struct demux_gap *gap);
uint32_t ports_total(const struct tern *t);
void ports_count(struct tern *t, const tern_endpoint *local, const tern_endpoint *remote, uint8_t link,
                 tern_port_use *out);

/* options.c */
void options_agree(struct tern *t, const struct segment *s, uint8_t our_wscale, struct agreed *out);
uint8_t options_wscale(uint32_t buffer);
bool options_ecn(const struct listener *l, const struct segment *s);
uint32_t options_mss(const struct agreed *opt, uint32_t mtu_mss, uint16_t max_seg);

/* mtu.c */
void mtu_derive(const struct tern *t, struct tcb *c); /* sizes by link, path and agreement */
void mtu_renew(struct tern *t, struct tcb *c); /* the link, its MTU or the path's has changed */

/* change.c: addresses, routes, links */
void change_begin(struct tern *t);
void change_slice(struct tern *t);
void change_finish(struct tern *t);
static inline bool change_under_way(const struct tern *t) { return UNLIKELY(t->w->sweep.left != 0); }
bool change_way(const struct tern *t, struct tcb *c); /* by which link it sends now; true: by another */
bool change_reaches(struct tern *t, ref_t r); /* brings one record up to date; false: it is gone */

/* icmp.c */
enum tern_cause tcp_icmp(struct tern *t, const struct icmp_msg *m, uint8_t link);

/* who.c: `record` is any of listener, half-open, tcb, idle, timewait. */
void who_of(const struct tern *t, const void *record, struct who *out);
uint64_t conn_widened(const struct tern *t, uint32_t id); /* the number whose low half a small record keeps */

/* The end of each verb: what died is freed, and who waits for memory is told of it. */
static inline void life_end_of_batch(struct tern *t)
{
    const struct world *w = t->w;
    if (LIKELY((w->dying | w->short_waiting.head | w->short_kept.head) == 0))
        return;
    life_bury(t);
    if (UNLIKELY((w->short_waiting.head | w->short_kept.head) != 0))
        shortage_serve(t);
}

/* check.c, check_tcb.c */
void check_one(struct tern *t, const struct tcb *c); /* invariants 14 to 19 */
void tcp_check_all(struct tern *t);

#endif
