/* code.c - %{ assert tcpi_snd_cwnd == 10 and tcpi_state == TCP_ESTABLISHED, "why" }%
 *
 * packetdrill hands such code to Python. Here is the part of Python that assertions are made of: one or more
 * `assert EXPRESSION [, MESSAGE]`, with or, and, not, comparisons (also in chains), | & << >> + - * // %,
 * numbers, parentheses, and names: the fields of Linux's tcp_info that tern can say (tcpi_...), all of tern's
 * own (tern_...), and the constants of words.c. Anything else is skipped, with its reason.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <linux/tcp.h>

#include "check/run.h"

struct eval {
    struct run *r;
    const struct event *e;
    const char *at;
    tern_info info;
    uint32_t depth;
    uint32_t parens; /* in parentheses the end of a line is a blank */
    bool quiet; /* behind a decided and/or: names are not noted */
    char seen[TEXT_MAX]; /* "tcpi_state is 1, ..." */
    size_t n_seen;
};

static int64_t eval_or(struct eval *v);

/* --- names ----------------------------------------------------------------------------------- */

/* tern's states as Linux numbers them. */
static int64_t linux_state(uint8_t state)
{
    static const uint8_t numbers[TERN_STATES] = {
        [TERN_CLOSED] = 7,     [TERN_LISTEN] = 10,    [TERN_SYN_SENT] = 2,   [TERN_SYN_RCVD] = 3,
        [TERN_ESTABLISHED] = 1, [TERN_FIN_WAIT_1] = 4, [TERN_FIN_WAIT_2] = 5, [TERN_CLOSE_WAIT] = 8,
        [TERN_CLOSING] = 11,   [TERN_LAST_ACK] = 9,   [TERN_TIME_WAIT] = 6,
    };
    return state < TERN_STATES ? numbers[state] : 0;
}

static int64_t segments(const tern_info *i, uint64_t bytes)
{
    return i->mss ? (int64_t)((bytes + i->mss - 1) / i->mss) : 0;
}

/* What is in flight, a SYN or FIN included. */
static int64_t unacked(const tern_info *i)
{
    bool syn = i->state == TERN_SYN_SENT || i->state == TERN_SYN_RCVD, fin = i->fin_sent && !i->fin_acked;
    uint64_t space = (uint64_t)i->send_unacked + syn + fin;
    return i->mss ? segments(i, space) : space > 0;
}

static int64_t options_agreed(const tern_info *i)
{
    return (i->timestamps ? TCPI_OPT_TIMESTAMPS : 0) | (i->sack ? TCPI_OPT_SACK : 0) |
           (i->wscale ? TCPI_OPT_WSCALE : 0) | (i->ecn ? TCPI_OPT_ECN : 0);
}

enum { SAME, SEGMENTS, MILLISECONDS };
struct name {
    const char *name;
    size_t at, size;
    int as;
};
#define FIELD(name, field, as)                                                             \
    {                                                                                      \
        name, offsetof(tern_info, field), sizeof(((tern_info *)0)->field), as \
    }
#define OWN(field) FIELD("tern_" #field, field, SAME)

static const struct name names[] = {
    FIELD("tcpi_snd_cwnd", cwnd, SEGMENTS),
    FIELD("tcpi_snd_ssthresh", ssthresh, SEGMENTS),
    FIELD("tcpi_snd_mss", mss, SAME),
    FIELD("tcpi_rto", rto_us, SAME),
    FIELD("tcpi_rtt", srtt_us, SAME),
    FIELD("tcpi_rttvar", rttvar_us, SAME),
    FIELD("tcpi_min_rtt", min_rtt_us, SAME),
    FIELD("tcpi_backoff", backoff, SAME),
    FIELD("tcpi_retransmits", backoff, SAME),
    FIELD("tcpi_probes", probes, SAME),
    FIELD("tcpi_total_retrans", retransmits, SAME),
    FIELD("tcpi_snd_wscale", snd_wscale, SAME),
    FIELD("tcpi_rcv_wscale", rcv_wscale, SAME),
    FIELD("tcpi_notsent_bytes", send_queue, SAME),
    FIELD("tcpi_bytes_acked", bytes_acked, SAME),
    FIELD("tcpi_bytes_received", bytes_received, SAME),
    FIELD("tcpi_bytes_sent", bytes_sent, SAME),
    FIELD("tcpi_bytes_retrans", bytes_retransmitted, SAME),
    FIELD("tcpi_segs_out", segs_out, SAME),
    FIELD("tcpi_segs_in", segs_in, SAME),
    FIELD("tcpi_dsack_dups", dsacks, SAME),
    FIELD("tcpi_snd_wnd", snd_wnd, SAME),
    FIELD("tcpi_rcv_wnd", rcv_wnd, SAME),
    FIELD("tcpi_rcv_ooopack", ooo_in, SAME),
    OWN(state),
    OWN(held),
    OWN(asleep),
    OWN(unaccepted),
    OWN(eof_read),
    OWN(fin_rcvd),
    OWN(fin_sent),
    OWN(fin_acked),
    OWN(error),
    OWN(recv_queue),
    OWN(recv_ooo),
    OWN(send_queue),
    OWN(send_unacked),
    OWN(urgent),
    OWN(rcv_wnd),
    OWN(snd_wnd),
    OWN(cwnd),
    OWN(ssthresh),
    OWN(in_flight),
    OWN(mss),
    OWN(snd_wscale),
    OWN(rcv_wscale),
    OWN(timestamps),
    OWN(sack),
    OWN(ecn),
    OWN(wscale),
    OWN(srtt_us),
    OWN(rttvar_us),
    OWN(rto_us),
    OWN(min_rtt_us),
    OWN(timer),
    OWN(backoff),
    OWN(probes),
    OWN(bytes_sent),
    OWN(bytes_acked),
    OWN(bytes_received),
    OWN(bytes_retransmitted),
    OWN(segs_out),
    OWN(segs_in),
    OWN(retransmits),
    OWN(fast_retransmits),
    OWN(timeouts),
    OWN(dup_acks_in),
    OWN(ooo_in),
    OWN(challenge_acks),
    OWN(dsacks),
    OWN(iss), OWN(irs), OWN(soft_error),
    OWN(icmp_type),
    OWN(icmp_code),
    OWN(ttl_in),
    OWN(dscp_in),
};

static int64_t load(const tern_info *i, const struct name *n)
{
    const uint8_t *at = (const uint8_t *)i + n->at;
    if (n->size == 1)
        return *at;
    if (n->size == 4 && (n->at == offsetof(tern_info, error) || n->at == offsetof(tern_info, soft_error)))
        return *(const int32_t *)(const void *)at;
    return n->size == 4 ? *(const uint32_t *)(const void *)at : (int64_t)*(const uint64_t *)(const void *)at;
}

bool code_field(const tern_info *i, const char *word, int64_t *out)
{
    if (strcmp(word, "tcpi_state") == 0)
        return *out = linux_state(i->state), true;
    if (strcmp(word, "tcpi_options") == 0)
        return *out = options_agreed(i), true;
    if (strcmp(word, "tcpi_unacked") == 0)
        return *out = unacked(i), true;
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++)
        if (strcmp(names[k].name, word) == 0) {
            int64_t value = load(i, &names[k]);
            *out = names[k].as == SEGMENTS ? segments(i, (uint64_t)value) : value;
            return true;
        }
    return false;
}

static void note(struct eval *v, const char *word, int64_t value)
{
    char text[100];
    snprintf(text, sizeof text, "%s is %lld", word, (long long)value);
    if (v->quiet || strstr(v->seen, text) != NULL)
        return;
    int n = snprintf(v->seen + v->n_seen, sizeof v->seen - v->n_seen, "%s%s", v->n_seen ? ", " : "", text);
    v->n_seen += n > 0 && v->n_seen + (size_t)n < sizeof v->seen ? (size_t)n : 0;
}

static int64_t name_value(struct eval *v, const char *word)
{
    int64_t value;
    if (strcmp(word, "True") == 0 || strcmp(word, "False") == 0)
        return word[0] == 'T';
    if (code_field(&v->info, word, &value)) {
        note(v, word, value);
        return value;
    }
    for (int s = 0; s < TERN_STATES && strncmp(word, "TERN_", 5) == 0; s++)
        if (strcmp(word + 5, tern_state_name(s)) == 0)
            return s;
    if (!word_number(word, &value))
        run_skip(v->r, "%s in code", word);
    return value;
}

/* --- expressions ----------------------------------------------------------------------------- */

static void wrong(struct eval *v, const char *what)
{
    run_wrong(v->r, v->e->line, v->e->column, "in the code: %s at '%.20s'", what, v->at);
}

static void blanks(struct eval *v)
{
    while (*v->at == ' ' || *v->at == '\t' || *v->at == '\r' || (*v->at == '\n' && v->parens > 0))
        v->at++;
}

static bool is_name(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool sign(struct eval *v, const char *text)
{
    blanks(v);
    size_t n = strlen(text);
    if (strncmp(v->at, text, n) != 0)
        return false;
    if (is_name(text[0]) && is_name(v->at[n]))
        return false;
    v->at += n;
    return true;
}

static int64_t eval_atom(struct eval *v)
{
    char word[64];
    size_t n = 0;
    blanks(v);
    if (++v->depth > 50)
        wrong(v, "too deep");
    if (sign(v, "(")) {
        v->parens++;
        int64_t value = eval_or(v);
        if (!sign(v, ")"))
            wrong(v, "')' is missing");
        v->parens--;
        v->depth--;
        return value;
    }
    if (sign(v, "-")) {
        int64_t value = eval_atom(v);
        v->depth--;
        return (int64_t)(0 - (uint64_t)value);
    }
    while (is_name(v->at[n]) && n < sizeof word - 1) {
        word[n] = v->at[n];
        n++;
    }
    word[n] = 0;
    if (n == 0)
        run_skip(v->r, "code that is more than an assertion: '%.30s'", v->at);
    v->at += n;
    v->depth--;
    return word[0] >= '0' && word[0] <= '9' ? strtoll(word, NULL, 0) : name_value(v, word);
}

static int64_t divide(struct eval *v, int64_t a, int64_t b, bool rest)
{
    if (b == 0 || (a == INT64_MIN && b == -1))
        wrong(v, "a division by zero");
    return rest ? a % b : a / b;
}

static int64_t eval_product(struct eval *v)
{
    int64_t a = eval_atom(v);
    for (;;) {
        if (sign(v, "//") || sign(v, "/"))
            a = divide(v, a, eval_atom(v), false);
        else if (sign(v, "*"))
            a = (int64_t)((uint64_t)a * (uint64_t)eval_atom(v));
        else if (sign(v, "%"))
            a = divide(v, a, eval_atom(v), true);
        else
            return a;
    }
}

static int64_t eval_sum(struct eval *v)
{
    int64_t a = eval_product(v);
    for (;;) {
        if (sign(v, "+"))
            a = (int64_t)((uint64_t)a + (uint64_t)eval_product(v));
        else if (sign(v, "-"))
            a = (int64_t)((uint64_t)a - (uint64_t)eval_product(v));
        else
            return a;
    }
}

static int64_t eval_bits(struct eval *v)
{
    int64_t a = eval_sum(v);
    for (;;) {
        if (sign(v, "<<"))
            a = (int64_t)((uint64_t)a << (eval_sum(v) & 63));
        else if (sign(v, ">>"))
            a = a >> (eval_sum(v) & 63);
        else if (sign(v, "&"))
            a &= eval_sum(v);
        else if (sign(v, "|"))
            a |= eval_sum(v);
        else
            return a;
    }
}

static int64_t eval_compare(struct eval *v)
{
    static const char *const signs[] = {"==", "!=", "<=", ">=", "<", ">"};
    int64_t a = eval_bits(v);
    bool any = false, all = true;
    for (;;) {
        int which = 0;
        while (which < 6 && !sign(v, signs[which]))
            which++;
        if (which == 6)
            return any ? all : a;
        int64_t b = eval_bits(v);
        bool is[] = {a == b, a != b, a <= b, a >= b, a < b, a > b};
        all &= is[which];
        any = true;
        a = b;
    }
}

static int64_t eval_not(struct eval *v)
{
    bool negated = false;
    while (sign(v, "not"))
        negated = !negated;
    int64_t a = eval_compare(v);
    return negated ? !a : a;
}

static int64_t eval_and(struct eval *v)
{
    int64_t a = eval_not(v);
    bool quiet = v->quiet;
    while (sign(v, "and")) {
        v->quiet |= !a;
        int64_t b = eval_not(v);
        a = a && b;
    }
    v->quiet = quiet;
    return a;
}

static int64_t eval_or(struct eval *v)
{
    int64_t a = eval_and(v);
    bool quiet = v->quiet;
    while (sign(v, "or")) {
        v->quiet |= !!a;
        int64_t b = eval_and(v);
        a = a || b;
    }
    v->quiet = quiet;
    return a;
}

/* --- statements ------------------------------------------------------------------------------ */

/* The message of an assertion, to the end of the line. */
static void skip_message(struct eval *v)
{
    if (sign(v, ","))
        while (*v->at && *v->at != '\n')
            v->at++;
}

static void assertion(struct eval *v)
{
    char text[TEXT_MAX];
    blanks(v);
    const char *from = v->at;
    v->n_seen = 0;
    v->seen[0] = 0;
    int64_t holds = eval_or(v);
    snprintf(text, sizeof text, "%.*s", (int)(v->at - from), from);
    if (!holds)
        run_fail(v->r, text, v->seen, "the assertion does not hold");
    skip_message(v);
}

/* The descriptor of this kind that leads to the current flow, or that it came to; NULL. */
static const struct sock *find_desc(const struct run *r, enum sock_kind kind)
{
    const struct flow *f = &r->flow[r->current];
    for (int i = 0; i < SOCKS_MAX; i++) {
        const struct sock *k = &r->sock[i];
        bool leads = kind == SOCK_LISTENING ? k->local.port == f->local.port : k->flow == r->current;
        if (k->kind == kind && leads)
            return k;
    }
    return NULL;
}

/* What a program would be told that asks for what was opened last. A connection that is not open yet has no
 * descriptor but its listener's; one that the program has closed is asked for by its addresses. */
static void take_info(struct run *r, tern_info *out)
{
    const struct sock *k = flow_newer_listener(r);
    *out = (tern_info){.state = TERN_CLOSED};
    if (k == NULL && r->current >= 0) {
        const struct flow *f = &r->flow[r->current];
        if (flow_state(r, &f->local, &f->remote, out) > TERN_SYN_RCVD)
            return;
        k = find_desc(r, SOCK_CONNECTION);
        k = k != NULL ? k : find_desc(r, SOCK_LISTENING);
    }
    if (k != NULL)
        desc_info(r, k, out);
}

void code_run(struct run *r, const struct event *e)
{
    struct eval v = {.r = r, .e = e, .at = e->text};
    take_info(r, &v.info);
    for (;;) {
        while (*v.at == '\n' || *v.at == ';' || *v.at == ' ' || *v.at == '\t' || *v.at == '\r')
            v.at++;
        if (*v.at == 0)
            return;
        if (*v.at == '#') {
            while (*v.at && *v.at != '\n')
                v.at++;
            continue;
        }
        if (!sign(&v, "assert"))
            run_skip(r, "code that is more than an assertion: '%.30s'", v.at);
        assertion(&v);
        blanks(&v);
        if (*v.at != 0 && *v.at != '\n' && *v.at != ';')
            wrong(&v, "the expression does not end");
    }
}
