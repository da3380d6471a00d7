/* change.c - addresses, routes and links have changed: every record is brought up to date.
 *
 *   tern_addr_remove ... ─▶ change_begin ─▶ the sweep: pages of the arena, from where it stands, once around
 *                                            ├─ a slice in that call, and in each tern_tick
 *                                            └─ a record that is to send before the sweep came to it: at once
 *
 * What a record must become is a function of the tables alone (ip_way, ip_mss) and of what was removed since
 * the sweep began, so looking at it twice changes nothing, and no record carries a mark. While no sweep is
 * under way all are up to date, and the way of a packet costs one comparison. Pages are walked by number and
 * told by their kind, since the order of a pool's own pages changes while records come and go. A record made
 * during the sweep is up to date already.
 *
 * What the sweep does to each kind, when its address is gone (or the link of a link-local peer, RFC 4007 6):
 * a control block ends (3.10.5's CLOSED without the RST), one at rest is woken for that, half-open and
 * TIME_WAIT records are dropped. When only its way is another: a control block notes it, and what is due
 * leaves; the small records ask for their way when they send, and only forget a home that is no more.
 * Listeners are not touched.
 */
#include "tcp/tcp.h"

#define SLICE_RECORDS 4096u  /* looked at in one call */
#define SLICE_PAGES   65536u

/* Why a record with these addresses must end; TERN_CAUSE_NONE: it need not. */
static enum tern_cause verdict(const struct sweep *s, const struct who *w)
{
    bool zoned = ip_zone(&w->local, &w->remote, 1) != 0;
    if (zoned && (s->links_gone >> w->link & 1))
        return TERN_C_LINK_REMOVED;
    for (uint32_t i = 0; i < s->n_gone; i++)
        if (ip_eq(&s->gone[i].ip, &w->local) &&
            (!ip_is_link_local6(&w->local) || s->gone[i].link == w->link))
            return TERN_C_ADDR_REMOVED;
    return TERN_CAUSE_NONE;
}

/* Nothing is sent: neither a RST, from an address that is another's, nor anything by a link that is gone. */
static void end_tcb(struct tern *t, struct tcb *c, enum tern_cause why)
{
    if (c->h.state != TERN_CLOSED)
        tcb_end(t, c, why, why == TERN_C_LINK_REMOVED ? -TERN_ENETDOWN : -TERN_EADDRNOTAVAIL);
    else
        tcb_rst_sent(t, c); /* only its RST was still to leave */
}

/* There is a way again. What was in flight when it went is lost if its time is over; the back-off measured no
 * path, and the window has idled (RFC 5681 4.1). */
static void resume(struct tern *t, struct tcb *c)
{
    uint64_t timeout = rtt_timeout(&c->rtt, settings(t));
    c->rtt.backoff = 0;
    if (c->list.count > 0 && t->w->now - c->last_tx_us > timeout) {
        sendlist_mark_all_lost(t, &c->list, false);
        c->rec.force = true;
        c->cc.cwnd = min_u32(c->cc.cwnd, cc_initial_window(c->snd.mss));
    }
    timer_restart(t, c);
}

bool change_way(const struct tern *t, struct tcb *c)
{
    uint8_t before = c->snd.link;
    c->snd.link = ip_way(&t->w->ip, &c->h.local, &c->h.remote, c->h.link);
    if (c->snd.link == before)
        return false;
    c->snd.path_mss = 0; /* that was of another path */
    c->snd.narrow = false;
    return true;
}

/* A control block that lives on. */
static void follow(struct tern *t, struct tcb *c)
{
    bool had_way = c->snd.link != 0;
    if (t->w->sweep.links_gone >> c->h.link & 1)
        c->h.link = 0; /* its home is no more; a later link of that id is another */
    bool other = change_way(t, c);
    if (c->h.state == TERN_CLOSED || c->h.state == TERN_TIME_WAIT) {
        if (c->h.ready || c->rst_cause != 0 || c->ack.now_cause != 0)
            conn_ready(t, &c->h);
        return;
    }
    mtu_renew(t, c);
    if (c->snd.link != 0 && !had_way)
        resume(t, c);
    if (other && !idle_silent(c))
        conn_ready(t, &c->h); /* to go on, or to arm what runs while nothing leaves */
    timer_window(t, c);
    timer_rearm(t, c);
}

/* At rest a connection finds its way when it wakes. Without memory for the end, that too comes when it
 * wakes. */
static void reach_idle(struct tern *t, struct idle *i, enum tern_cause why)
{
    if (why == TERN_CAUSE_NONE) {
        if (t->w->sweep.links_gone >> i->link & 1)
            i->link = 0;
        return;
    }
    struct tcb *c = idle_wake(t, i);
    if (c == NULL)
        i->gone = 1;
    else if (c->h.state != TERN_CLOSED)
        end_tcb(t, c, why);
}

/* The record at rest of who is awake says nothing: its control block does. */
static bool is_awake(const struct tern *t, ref_t r)
{
    return rec_kind(t, r) == REC_IDLE && ((const struct idle *)at_const(t->a, r))->tcb != 0;
}

bool change_reaches(struct tern *t, ref_t r)
{
    struct who w;
    if (is_awake(t, r))
        return true;
    who_of(t, at(t->a, r), &w);
    enum tern_cause why = verdict(&t->w->sweep, &w);
    switch (rec_kind(t, r)) {
    case REC_TCB:
        if (why != TERN_CAUSE_NONE)
            end_tcb(t, tcb_at(t, r), why);
        else
            follow(t, tcb_at(t, r));
        return true;
    case REC_IDLE:
        reach_idle(t, at(t->a, r), why);
        return true;
    case REC_HALFOPEN:
        if (why != TERN_CAUSE_NONE)
            halfopen_end(t, at(t->a, r), why);
        else if (t->w->sweep.links_gone >> w.link & 1)
            ((struct halfopen *)at(t->a, r))->link = 0;
        break;
    case REC_TIMEWAIT:
        if (why != TERN_CAUSE_NONE)
            waiting_end(t, r, why);
        else
            waiting_follow(t, r, t->w->sweep.links_gone);
        break;
    default:
        return true; /* listeners are not touched */
    }
    return why == TERN_CAUSE_NONE;
}

/* The live record behind `r` in a page (0: the first); 0 = no more, or no page of records. */
static ref_t next_in_page(const struct tern *t, ref_t page, ref_t r)
{
    const struct world *w = t->w;
    switch ((int)arena_kind(t->a, page) - PAGE_POOL0) {
    case POOL_TCB: return pool_in_page(t->a, &w->tcbs, page, r);
    case POOL_IDLE4: return pool_in_page(t->a, &w->idles4, page, r);
    case POOL_IDLE6: return pool_in_page(t->a, &w->idles6, page, r);
    case POOL_HALFOPEN4: return pool_in_page(t->a, &w->halfopens4, page, r);
    case POOL_HALFOPEN6: return pool_in_page(t->a, &w->halfopens6, page, r);
    case POOL_TIMEWAIT4: return fifo_in_page(t->a, &w->wait4.fifo, page, r);
    case POOL_TIMEWAIT6: return fifo_in_page(t->a, &w->wait6.fifo, page, r);
    default: return 0;
    }
}

/* All records of a page. It may go back to the arena on the way: then it is of no kind. Returns how many. */
static uint32_t look_at_page(struct tern *t, uint32_t number)
{
    ref_t page = number << (t->a->page_shift - 4), r = 0;
    uint32_t n = 0;
    for (; (r = next_in_page(t, page, r)) != 0; n++)
        change_reaches(t, r);
    return n;
}

static void sweep_on(struct tern *t, uint32_t records, uint32_t pages)
{
    struct sweep *s = &t->w->sweep;
    for (uint32_t n = 0; s->left > 0 && n < records && pages > 0; pages--) {
        if (s->page >= t->a->pages_used)
            s->page = 0;
        n += look_at_page(t, s->page++);
        s->left--;
    }
    if (s->left > 0)
        return;
    s->n_gone = 0;
    s->links_gone = 0;
}

void change_begin(struct tern *t)
{
    t->w->sweep.left = t->a->pages_used;
    change_slice(t);
}

void change_slice(struct tern *t)
{
    if (change_under_way(t))
        sweep_on(t, SLICE_RECORDS, SLICE_PAGES);
}

void change_finish(struct tern *t) { sweep_on(t, UINT32_MAX, UINT32_MAX); }
