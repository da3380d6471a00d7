/* probe_call.c - the program calls: what RFC 9293 3.10.4 and 3.10.5 (and tern's decisions P13 to P19 in
 * tests/matrix/README.md) say of CLOSE, ABORT and SEND in each state. */
#include "probe.h"

#include <tern/net.h>

#include <string.h>

enum call { SHUTDOWN, CLOSE, LINGER, ABORT, SEND, RECV, CALLS };
static const char *const names[CALLS] = {"shutdown", "close", "close with linger 0", "abort", "send", "recv"};

/* 3.10.5 sends none in CLOSING, LAST-ACK and TIME-WAIT, and none before the connection is open. */
static bool abort_resets(enum tern_state s)
{
    return s == TERN_SYN_RCVD || s == TERN_ESTABLISHED || s == TERN_FIN_WAIT_1 || s == TERN_FIN_WAIT_2 ||
           s == TERN_CLOSE_WAIT;
}

static enum tern_state after_close(enum tern_state s)
{
    switch (s) {
    case TERN_SYN_SENT: return TERN_CLOSED;
    case TERN_SYN_RCVD:
    case TERN_ESTABLISHED: return TERN_FIN_WAIT_1;
    case TERN_CLOSE_WAIT: return TERN_LAST_ACK;
    default: return s;
    }
}

/* SHLD-3 and P19. */
static bool loses_data(const tern_info *b)
{
    enum tern_state s = (enum tern_state)b->state;
    return b->recv_queue > 0 && (s == TERN_ESTABLISHED || s == TERN_FIN_WAIT_1 || s == TERN_FIN_WAIT_2 ||
                                 s == TERN_CLOSE_WAIT);
}

static bool resets(const struct stage *x, enum call c)
{
    const tern_info *b = &x->before;
    uint32_t linger = c == LINGER;
    if (c == CLOSE)
        tern_getopt(x->t, x->h, TERN_OPT_LINGER0, &linger);
    if (c == ABORT || (c != SHUTDOWN && linger))
        return true;
    return c == CLOSE && loses_data(b);
}

static void wrong(struct stage *x, enum call c, const char *what)
{
    char said[200];
    said_words(x, said, sizeof said);
    stage_wrong(x, "%s: %s leads to %s: %s; said: %s", tern_state_name((enum tern_state)x->before.state),
                names[c], x->there ? tern_state_name((enum tern_state)x->i.state) : "CLOSED", what, said);
}

static void judge_reset(struct stage *x, enum call c)
{
    const tern_info *b = &x->before;
    enum tern_state s = (enum tern_state)b->state;
    bool silent = !abort_resets(s) && (b->fin_sent || s == TERN_SYN_SENT),
         keeps = c != ABORT && (s == TERN_CLOSING || s == TERN_LAST_ACK);
    if (keeps || s == TERN_TIME_WAIT)
        return; /* both FINs are under way: P19 */
    if (x->there)
        wrong(x, c, "it lives on (3.10.5)");
    else if (!silent && !abort_resets(s))
        return; /* our FIN has not left: P18 */
    else if (silent && x->n_out > 0)
        wrong(x, c, "something is sent (3.10.5)");
    else if (!silent && (x->n_out != 1 || x->out[0].s.flags != RST || x->out[0].s.seq != b->snd_nxt))
        wrong(x, c, "no <SEQ=SND.NXT><CTL=RST> is sent (3.10.5)");
}

/* Our FIN leaves at once when nothing stands before it, and there is room for it. */
static void judge_fin(struct stage *x, enum call c)
{
    const tern_info *b = &x->before;
    enum tern_state s = (enum tern_state)b->state;
    bool now = (s == TERN_ESTABLISHED || s == TERN_CLOSE_WAIT) && b->send_queue == 0 && b->snd_wnd > 1 &&
               b->snd_una == b->snd_nxt;
    if (now &&
        (x->n_out != 1 || (x->out[0].s.flags & (FIN | ACK)) != (FIN | ACK) || x->out[0].s.seq != b->snd_nxt))
        wrong(x, c, "the FIN does not leave (3.10.4)");
    bool none = s == TERN_FIN_WAIT_1 || s == TERN_FIN_WAIT_2 || s >= TERN_CLOSING || s == TERN_SYN_SENT;
    if (none && x->n_out > 0)
        wrong(x, c, "something is sent, and there is nothing to be said (3.10.4)");
}

static void judge_close(struct stage *x, enum call c)
{
    enum tern_state wanted = after_close((enum tern_state)x->before.state);
    enum tern_state is = x->there ? (enum tern_state)x->i.state : TERN_CLOSED;
    /* for want of memory */
    bool recycled = x->blind && x->before.state == TERN_TIME_WAIT && is == TERN_CLOSED;
    if (is != wanted && !recycled)
        wrong(x, c, "not where 3.10.4 leads");
    else
        judge_fin(x, c);
}

/* After a close: it must end in order by itself when the peer answers. */
static void peer_answers(struct stage *x)
{
    for (int k = 0; k < 4 && x->there && stage_fine(x) && x->i.state > TERN_SYN_RCVD; k++) {
        struct segment s = stage_segment(x, ACK, 0);
        stage_put(x, &s);
        stage_pass(x, 1000);
    }
    if (!x->there || !stage_fine(x) || x->i.state == TERN_TIME_WAIT || x->i.fin_rcvd ||
        x->i.state <= TERN_SYN_RCVD)
        return;
    struct segment s = stage_segment(x, FIN | ACK, 0);
    stage_put(x, &s);
}

static void do_close(struct stage *x, enum call c)
{
    stage_begin(x);
    bool reset = resets(x, c);
    if (c == LINGER)
        tern_setopt(x->t, x->h, TERN_OPT_LINGER0, 1);
    if (c == SHUTDOWN)
        tern_shutdown(x->t, x->h);
    else if (c == ABORT)
        tern_abort(x->t, x->h);
    else
        tern_close(x->t, x->h);
    if (c != SHUTDOWN)
        x->h.v = 0;
    stage_end(x);
    if (!stage_fine(x))
        return;
    if (reset)
        judge_reset(x, c);
    else
        judge_close(x, c);
}

static void do_send(struct stage *x, struct rng *dice)
{
    static const uint8_t text[8000];
    const tern_info *b = &x->before;
    uint32_t len = DICE_OF(dice, 1, 100, 2000, 8000);
    bool closed = x->i.fin_sent || x->i.state == TERN_FIN_WAIT_1 || x->i.state == TERN_FIN_WAIT_2 ||
                  x->i.state >= TERN_CLOSING;
    stage_begin(x);
    long r = tern_send(x->t, x->h, text, len, 0);
    stage_end(x);
    if (closed && r != -TERN_EPIPE)
        wrong(x, SEND, "it is taken behind a FIN (3.10.2)");
    if (r <= 0 || closed || b->state < TERN_ESTABLISHED)
        return;
    bool idle = b->snd_una == b->snd_nxt && b->send_queue == 0,
         room = b->snd_wnd > (uint32_t)r && b->cwnd > 2000;
    if (idle && room && !x->blind && (x->n_out == 0 || x->out[0].s.seq != b->snd_nxt || x->out[0].s.len == 0))
        wrong(x, SEND, "nothing is sent, though nothing is in flight (SHLD-7)");
    const struct segment *last = x->n_out > 0 ? &x->out[x->n_out - 1].s : NULL;
    if (last != NULL && x->i.send_queue == 0 && last->len > 0 && !(last->flags & PSH))
        wrong(x, SEND, "the last of it is sent without PSH (MUST-60)");
}

static void do_recv(struct stage *x)
{
    static _Thread_local uint8_t text[1 << 16];
    stage_begin(x);
    uint32_t want = x->before.recv_queue < sizeof text ? x->before.recv_queue : (uint32_t)sizeof text;
    long r = tern_recv(x->t, x->h, text, sizeof text);
    stage_end(x);
    if (want > 0 && r != (long)want)
        wrong(x, RECV, "not all that is there is read (3.10.3)");
    if (want == 0 && x->before.fin_rcvd && r != 0)
        wrong(x, RECV, "the end of the stream is not told (3.10.3)");
    if (want == 0 && !x->before.fin_rcvd && r != -TERN_EAGAIN)
        wrong(x, RECV, "there was nothing to be read (3.10.3)");
    if (x->n_out > 0 &&
        ahead(x->i.rcv_nxt + x->i.rcv_wnd, x->before.rcv_nxt + x->before.rcv_wnd) < (int32_t)x->i.mss / 4)
        wrong(x, RECV, "the window opens by little (MUST-39)");
}

void probe_call(struct stage *x, struct rng *dice)
{
    enum call c = (enum call)dice_below(dice, CALLS);
    if (x->h.v == 0 || x->i.unaccepted)
        return;
    if (c == SEND)
        do_send(x, dice);
    else if (c == RECV)
        do_recv(x);
    else
        do_close(x, c);
    if (stage_fine(x) && x->there && (c == CLOSE || c == SHUTDOWN))
        peer_answers(x);
}

/* --- what goes away
 * ---------------------------------------------------------------------------------------------- */

/* An address that goes ends its connections without a word; of a listener, what nobody has accepted is
 * reset. */
void probe_gone(struct stage *x, struct rng *dice)
{
    bool link = dice_below(dice, 2) != 0;
    stage_begin(x);
    int e = link ? tern_link_remove(x->t, x->link) : tern_addr_remove(x->t, x->link, &x->local.ip);
    if (e < 0)
        return;
    stage_end(x);
    STAGE_HOLDS(x, !x->there, "%s: its %s is gone, and it lives on",
                tern_state_name((enum tern_state)x->i.state), link ? "link" : "address");
    STAGE_HOLDS(x, x->n_out == 0, "%s: its %s is gone, and it speaks",
                tern_state_name((enum tern_state)x->before.state), link ? "link" : "address");
    bool told = x->h.v == 0 || x->before.state == TERN_TIME_WAIT ||
                (x->i.error != 0 && (x->events & TERN_ENDED));
    STAGE_HOLDS(x, told, "%s: its %s is gone, and its program is not told",
                tern_state_name((enum tern_state)x->before.state), link ? "link" : "address");
}
