/* judge.c - see judge.h. */
#include "judge.h"

#include "../rng.h"

#include <tern/event.h>
#include <tern/stats.h>
#include <tern/tern.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { PERIOD = 65521, HEAD = 8 }; /* net.h says why a prime */

void complain(struct complaint *c, enum complaint_kind kind, const char *format, ...)
{
    if (c->kind != COMPLAINT_NONE)
        return; /* the first one counts */
    c->kind = kind;
    va_list args;
    va_start(args, format);
    vsnprintf(c->text, sizeof c->text, format, args);
    va_end(args);
}

const char *complaint_word(enum complaint_kind kind)
{
    static const char *const words[COMPLAINTS] = {
        "nothing",      "wrong bytes", "wrong end of stream", "wrong reason", "wrong result of a call",
        "never ends",   "left over",   "over budget",         "wrong on the wire",
        "trapped",
    };
    return words[kind];
}

/* --- streams --------------------------------------------------------------------------------- */

void judge_fill(uint8_t *bytes, size_t len)
{
    struct rng rng = {1};
    for (size_t i = 0; i < len; i++)
        bytes[i] = i < PERIOD ? (uint8_t)(rng_next(&rng) >> 24) : bytes[i - PERIOD];
}

/* Each name begins at another place of the table. */
uint32_t judge_place(uint32_t name, uint64_t at)
{
    return (uint32_t)((name * 2654435761u % PERIOD + at) % PERIOD);
}

const uint8_t *judge_stream(const uint8_t *bytes, uint32_t name, uint64_t at, uint32_t *n)
{
    *n = PERIOD; /* the table is longer by so much than any place in it */
    return bytes + judge_place(name, at);
}

void judge_head(uint32_t name, uint8_t head[8])
{
    uint64_t word = (uint64_t)name << 32 | (name * 0x9e3779b1u ^ 0x7465726eu);
    for (int i = 0; i < HEAD; i++)
        head[i] = (uint8_t)(word >> (56 - 8 * i));
}

uint32_t judge_name(const uint8_t head[8])
{
    uint32_t name = (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
    uint8_t right[HEAD];
    judge_head(name, right);
    return memcmp(head, right, HEAD) == 0 ? name : 0;
}

/* --- bytes ----------------------------------------------------------------------------------- */

static bool gone(const struct judge_end *e) { return e->released || e->error != 0 || e->told_ended; }

/* Whether it is right that there is another one in the place of `one`. */
static bool may_be(const struct judge_end *other, const struct judge_end *one)
{
    bool twice = other != NULL && other->by_cookie && one->by_cookie && (gone(other) || gone(one));
    return other == NULL || other == one || twice;
}

static struct judge_end *named(uint32_t name, judge_find *find, void *ctx)
{
    return name != 0 ? find(ctx, name) : NULL;
}

/* The name is complete: who speaks? */
static bool meet(struct judge_end *e, judge_find *find, void *ctx, struct complaint *c)
{
    uint32_t name = judge_name(e->head);
    struct judge_end *sender = named(name, find, ctx);
    if (sender == NULL)
        return complain(c, WRONG_BYTES, "the stream begins with no sender's name"), false;
    struct judge_end *before = named(sender->heard_by, find, ctx), *its = named(sender->hears, find, ctx);
    struct judge_end *mine = named(e->heard_by, find, ctx);
    if (!may_be(before, e) || !may_be(its, e))
        return complain(c, WRONG_BYTES, "the stream is that of end %u, which has another peer", name), false;
    if (!may_be(mine, sender))
        return complain(c, WRONG_BYTES, "it hears end %u and is heard by end %u", name, e->heard_by), false;
    if ((before != NULL && before != e) || (its != NULL && its != e) || (mine != NULL && mine != sender))
        sender->muddled = e->muddled = true;
    e->hears = name;
    sender->heard_by = e->name;
    return true;
}

static bool same_bytes(const struct judge_end *e, const uint8_t *bytes, const uint8_t *p, uint64_t n,
                       struct complaint *c)
{
    for (uint64_t at = e->got; n > 0;) {
        uint32_t row;
        const uint8_t *right = judge_stream(bytes, e->hears, at, &row);
        uint64_t len = n < row ? n : row;
        if (memcmp(p, right, len) != 0)
            return complain(c, WRONG_BYTES, "wrong bytes at %llu or soon after", (unsigned long long)at),
                   false;
        p += len, at += len, n -= len;
    }
    return true;
}

bool judge_got(struct judge_end *e, const uint8_t *bytes, const uint8_t *p, uint64_t n, judge_find *find,
               void *ctx, struct complaint *c)
{
    if (e->eof)
        return complain(c, WRONG_END, "%llu bytes after the end of the stream", (unsigned long long)n), false;
    for (; n > 0 && e->got < HEAD && !e->muddled; n--) {
        e->head[e->got++] = *p++;
        if (e->got == HEAD && !meet(e, find, ctx, c))
            return false;
    }
    if (e->muddled)
        return e->got += n, true;
    if (n > 0 && !same_bytes(e, bytes, p, n, c))
        return false;
    e->got += n;
    if (e->hears != 0 && e->got > find(ctx, e->hears)->sent)
        return complain(c, WRONG_BYTES, "%llu bytes were delivered, %llu were sent",
                        (unsigned long long)e->got, (unsigned long long)find(ctx, e->hears)->sent),
               false;
    return true;
}

bool judge_eof(struct judge_end *e, const struct judge_end *sender, struct complaint *c)
{
    e->eof = true;
    if (sender == NULL || e->muddled)
        return true; /* a peer that said nothing, and cannot be told otherwise */
    if (!sender->closed)
        return complain(c, WRONG_END, "the stream ends and its sender has not closed"), false;
    if (e->got != sender->sent)
        return complain(c, WRONG_END, "the stream ends after %llu bytes of %llu", (unsigned long long)e->got,
                        (unsigned long long)sender->sent),
               false;
    return true;
}

/* --- reasons --------------------------------------------------------------------------------- */

/* Timers run by the stack's clock, which may stand still for a moment when it is set back. */
static bool lasted(const struct judge_end *e, uint64_t now_us, uint64_t limit_us)
{
    return now_us >= e->opened_us && now_us - e->opened_us >= limit_us - limit_us / 8;
}

static const char *wrong_reason(const struct judge_end *e, uint16_t reason, uint64_t now_us,
                                const struct judge_limits *l, unsigned x, bool peer_there)
{
    bool broken = x & (EXCUSE_CRASH | EXCUSE_NAT | EXCUSE_NET | EXCUSE_FAULTS);
    switch (reason) {
    case TERN_C_RESET:
    case TERN_C_REFUSED:
    case TERN_C_REFUSED_SYN_RCVD:
        if (peer_there && !(x & (EXCUSE_CRASH | EXCUSE_NAT | EXCUSE_NET | EXCUSE_PROGRAM)))
            return "a reset, though the peer's program still holds its end";
        return NULL;
    case TERN_C_USER_TIMEOUT:
        if (l->user_timeout_us == 0 || !lasted(e, now_us, l->user_timeout_us))
            return "a user timeout, before its time or not asked for";
        return broken || (x & EXCUSE_PROGRAM) ? NULL : "a user timeout in a network without faults";
    case TERN_C_RETRIES_USED_UP:
        if (!lasted(e, now_us, l->retries_us))
            return "retransmissions used up before their time";
        return broken || (x & EXCUSE_PROGRAM) ? NULL : "retransmissions used up in a network without faults";
    case TERN_C_SYN_RETRIES_USED_UP:
        if (!lasted(e, now_us, l->syn_retries_us))
            return "SYN retransmissions used up before their time";
        return broken || (x & (EXCUSE_PROGRAM | EXCUSE_UNOPENED)) ? NULL
                                                                  : "no answer to a SYN in a good network";
    case TERN_C_KEEPALIVE_FAILED:
        if (l->keepalive_us == 0 || !lasted(e, now_us, l->keepalive_us))
            return "keepalive failed, and was not asked for or has not had its time";
        return broken || (x & EXCUSE_PROGRAM) ? NULL : "keepalive failed in a network without faults";
    case TERN_C_ICMP_HARD:
        return x & (EXCUSE_ICMP | EXCUSE_FAULTS) ? NULL : "ended by ICMP that nobody has sent";
    case TERN_C_CLOSE_SYN_SENT:
        return x & EXCUSE_PROGRAM ? NULL : "given up while opening, and its program has not closed";
    case TERN_C_ADDR_REMOVED:
    case TERN_C_LINK_REMOVED:
        return x & EXCUSE_NET ? NULL : "ended by an address or link that is still there";
    default:
        return "ended for a reason that is none";
    }
}

static bool error_fits(int error, uint16_t reason)
{
    switch (reason) {
    case TERN_C_RESET: return error == -TERN_ECONNRESET;
    case TERN_C_REFUSED:
    case TERN_C_REFUSED_SYN_RCVD: return error == -TERN_ECONNREFUSED;
    case TERN_C_CLOSE_SYN_SENT: return error == -TERN_ECONNABORTED;
    case TERN_C_ICMP_HARD: return error == -TERN_EHOSTUNREACH;
    case TERN_C_ADDR_REMOVED:
    case TERN_C_LINK_REMOVED: return error == -TERN_EADDRNOTAVAIL || error == -TERN_ENETDOWN;
    default: return error == -TERN_ETIMEDOUT || error == -TERN_EHOSTUNREACH; /* what ICMP had said before */
    }
}

bool judge_error(struct judge_end *e, int error, uint16_t reason, uint64_t now_us,
                 const struct judge_limits *limits, unsigned excuses, bool peer_there, struct complaint *c)
{
    if (e->error != 0 && e->error != error)
        return complain(c, WRONG_REASON, "it ended with error %d, now it says %d", e->error, error), false;
    if (e->error != 0)
        return true;
    e->error = error;
    if (!error_fits(error, reason))
        return complain(c, WRONG_REASON, "error %d does not fit its reason: %s", error,
                        tern_cause_text(reason)),
               false;
    const char *wrong = wrong_reason(e, reason, now_us, limits, excuses, peer_there);
    if (wrong != NULL)
        return complain(c, WRONG_REASON, "%s (%s)", wrong, tern_cause_name(reason)), false;
    return true;
}

bool judge_told(struct judge_end *e, uint32_t bits, struct complaint *c)
{
    if (bits & TERN_CONNECTED && e->told_connected)
        return complain(c, WRONG_REASON, "told twice that it is connected"), false;
    if (bits & TERN_PEER_CLOSED && e->told_peer_closed)
        return complain(c, WRONG_REASON, "told twice that the peer has closed"), false;
    if (bits & TERN_ENDED && e->told_ended)
        return complain(c, WRONG_REASON, "told twice that it has ended"), false;
    if (e->told_ended && bits & (TERN_CONNECTED | TERN_PEER_CLOSED))
        return complain(c, WRONG_REASON, "told of news after the end"), false;
    e->told_connected |= (bits & TERN_CONNECTED) != 0;
    e->told_peer_closed |= (bits & TERN_PEER_CLOSED) != 0;
    e->told_ended |= (bits & TERN_ENDED) != 0;
    return true;
}
