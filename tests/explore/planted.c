/* planted.c - see planted.h. */
#include "explore/planted.h"

#include "tcp/tcp.h"

enum planted planted;

void __real_recv_ack_now(struct tern *t, struct tcb *c, enum tern_cause why);
void __wrap_recv_ack_now(struct tern *t, struct tcb *c, enum tern_cause why);
void __wrap_recv_ack_now(struct tern *t, struct tcb *c, enum tern_cause why)
{
    bool of_fin = why == TERN_C_SEND_ACK_FIN || why == TERN_C_SEND_ACK_OLD;
    if (planted != PLANTED_FIN_NOT_ACKED || !of_fin)
        __real_recv_ack_now(t, c, why);
}

void __real_tcb_time_wait(struct tern *t, struct tcb *c, enum tern_cause cause);
void __wrap_tcb_time_wait(struct tern *t, struct tcb *c, enum tern_cause cause);
void __wrap_tcb_time_wait(struct tern *t, struct tcb *c, enum tern_cause cause)
{
    if (planted == PLANTED_NO_TIME_WAIT)
        tcb_end(t, c, cause, 0);
    else
        __real_tcb_time_wait(t, c, cause);
}

enum tern_cause __real_recv_text(struct tern *t, struct tcb *c, const struct segment *s);
enum tern_cause __wrap_recv_text(struct tern *t, struct tcb *c, const struct segment *s);
enum tern_cause __wrap_recv_text(struct tern *t, struct tcb *c, const struct segment *s)
{
    uint8_t other[2048];
    struct segment changed = *s;
    if (planted == PLANTED_WRONG_BYTE && s->len > 0 && s->len <= sizeof other) {
        memcpy(other, s->data, s->len);
        other[s->len - 1] ^= 1;
        changed.data = other;
    }
    return __real_recv_text(t, c, &changed);
}

void __real_reply_rst(struct tern *t, const struct segment *s, enum tern_cause cause);
void __wrap_reply_rst(struct tern *t, const struct segment *s, enum tern_cause cause);
void __wrap_reply_rst(struct tern *t, const struct segment *s, enum tern_cause cause)
{
    if (planted != PLANTED_SILENT_PORT)
        __real_reply_rst(t, s, cause);
}

void __real_tcb_release(struct tern *t, struct tcb *c);
void __wrap_tcb_release(struct tern *t, struct tcb *c);
void __wrap_tcb_release(struct tern *t, struct tcb *c)
{
    if (planted != PLANTED_NOT_RELEASED)
        __real_tcb_release(t, c);
}

void __real_recovery_on_timeout(struct tern *t, struct tcb *c);
void __wrap_recovery_on_timeout(struct tern *t, struct tcb *c);
void __wrap_recovery_on_timeout(struct tern *t, struct tcb *c)
{
    if (planted != PLANTED_NOT_REPEATED)
        __real_recovery_on_timeout(t, c);
}

bool __real_recv_fin_reached(const struct tcb *c);
bool __wrap_recv_fin_reached(const struct tcb *c);
bool __wrap_recv_fin_reached(const struct tcb *c)
{
    return __real_recv_fin_reached(c) || (planted == PLANTED_FIN_TOO_SOON && c->rcv.fin_ooo);
}

enum tern_cause __real_accept_seq(struct tern *t, struct tcb *c, const struct segment *s,
                                  enum seq_verdict *verdict);
enum tern_cause __wrap_accept_seq(struct tern *t, struct tcb *c, const struct segment *s,
                                  enum seq_verdict *verdict);
enum tern_cause __wrap_accept_seq(struct tern *t, struct tcb *c, const struct segment *s,
                                  enum seq_verdict *verdict)
{
    enum tern_cause cause = __real_accept_seq(t, c, s, verdict);
    if (planted == PLANTED_ACKS_TOO_MUCH && c->h.state == TERN_ESTABLISHED && s->len > 0)
        c->rcv.nxt = seq_add(c->rcv.nxt, 1);
    if (planted == PLANTED_CHATTER && s->len == 0 && cause == TERN_CAUSE_NONE &&
        c->h.state >= TERN_ESTABLISHED)
        recv_ack_now(t, c, TERN_C_SEND_CHALLENGE);
    return cause;
}
