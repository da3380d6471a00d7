/* tcp_options.c - TCP options: MSS (RFC 9293 3.7.1), window scale and timestamps (RFC 7323), SACK (RFC 2018).
 *
 * How they are laid out when written, with every value at a multiple of 4:
 *
 *   SYN      MSS 4 | SACKOK 2, TS 10 (one of them missing: NOP NOP in its place) | NOP, WS 3
 *   others   NOP NOP TS 10 | NOP NOP SACK 2 + 8n
 */
#include "tcp_options.h"

enum { OPT_EOL = 0, OPT_NOP = 1, OPT_MSS = 2, OPT_WSCALE = 3, OPT_SACK_OK = 4, OPT_SACK = 5, OPT_TS = 8 };
enum { OPTS_MAX = 40, WSCALE_MAX = 14 };

/* --- reading ------------------------------------------------------------------------------------- */

static void read_sack(const uint8_t *p, uint8_t n, struct tcp_opts *o)
{
    o->n_sack = (uint8_t)((n - 2) / 8);
    for (uint8_t i = 0; i < o->n_sack; i++) {
        o->sack[i].left = seq(get32(p + 2 + 8 * i));
        o->sack[i].right = seq(get32(p + 6 + 8 * i));
    }
}

/* One option of n bytes, n >= 2. A known kind with a length that is not its own is stepped over like an
 * unknown one (as Linux does). MSS, window scale and SACK-permitted mean something on a SYN only (RFC 9293
 * 3.7.1, RFC7323-2.2-f, RFC 2018 2). An option that comes twice: the last one counts. */
static void read_option(const uint8_t *p, uint8_t n, bool syn, struct tcp_opts *o)
{
    switch (p[0]) {
    case OPT_MSS:
        if (n == 4 && syn)
            o->mss = get16(p + 2);
        break;
    case OPT_WSCALE:
        if (n == 3 && syn)
            o->wscale = p[2] > WSCALE_MAX ? WSCALE_MAX : p[2]; /* RFC7323-2.3-f */
        break;
    case OPT_SACK_OK:
        if (n == 2 && syn)
            o->sack_ok = true;
        break;
    case OPT_SACK: /* RFC 2018 3: 1 to 4 blocks */
        if (n > 2 && n <= 2 + 8 * MAX_SACK && (n - 2) % 8 == 0)
            read_sack(p, n, o);
        break;
    case OPT_TS:
        if (n == 10) {
            o->ts = true;
            o->ts_val = get32(p + 2);
            o->ts_ecr = get32(p + 6);
        }
        break;
    default: /* MUST-6; the user timeout option is one of these (RFC5482-3-e, RFC5482-4.1-a) */
        break;
    }
}

/* MUST-4: end of list and NOP here, MSS above. */
bool tcp_opts_parse(const uint8_t *p, uint32_t len, bool syn, struct tcp_opts *o)
{
    const uint8_t *end = p + len;
    *o = (struct tcp_opts){.wscale = WSCALE_NONE};
    while (p < end && *p != OPT_EOL) {
        if (*p == OPT_NOP) {
            p++;
            continue;
        }
        if (end - p < 2 || p[1] < 2 || p[1] > end - p)
            return false; /* RFC 9293 3.1, MUST-7 */
        read_option(p, p[1], syn, o);
        p += p[1];
    }
    return true;
}

/* --- writing ------------------------------------------------------------------------------------- */

/* Blocks that fit beside the timestamps: 4, or 3 (RFC2018-3-a). */
static uint8_t sack_fit(const struct tcp_opts *o)
{
    uint32_t most = o->ts ? (OPTS_MAX - 12 - 4) / 8 : MAX_SACK;
    return (uint8_t)min_u32(o->n_sack, most);
}

uint16_t tcp_opts_len(const struct tcp_opts *o, uint8_t flags)
{
    int len = o->ts ? 12 : 0;
    if ((flags & F_SYN) == 0)
        return (uint16_t)(len + (o->n_sack ? 4 + 8 * sack_fit(o) : 0));
    if (o->sack_ok && !o->ts)
        len += 4;
    if (o->wscale != WSCALE_NONE)
        len += 4;
    return (uint16_t)(len + (o->mss ? 4 : 0)); /* MUST-65: on a SYN only */
}

static uint8_t *put_ts(uint8_t *p, const struct tcp_opts *o)
{
    p[0] = OPT_TS, p[1] = 10;
    put32(p + 2, o->ts_val);
    put32(p + 6, o->ts_ecr);
    return p + 10;
}

static uint8_t *put_two(uint8_t *p, uint8_t a, uint8_t b)
{
    p[0] = a, p[1] = b;
    return p + 2;
}

static uint8_t *put_sack(uint8_t *p, const struct tcp_opts *o)
{
    uint8_t n = sack_fit(o);
    p = put_two(p, OPT_NOP, OPT_NOP);
    p = put_two(p, OPT_SACK, (uint8_t)(2 + 8 * n));
    for (uint8_t i = 0; i < n; i++, p += 8) {
        put32(p, o->sack[i].left.v);
        put32(p + 4, o->sack[i].right.v);
    }
    return p;
}

static uint8_t *put_syn(uint8_t *p, const struct tcp_opts *o)
{
    if (o->mss) {
        p = put_two(p, OPT_MSS, 4);
        put16(p, o->mss);
        p += 2;
    }
    if (o->sack_ok && !o->ts)
        p = put_two(p, OPT_NOP, OPT_NOP);
    if (o->sack_ok)
        p = put_two(p, OPT_SACK_OK, 2);
    if (o->ts && !o->sack_ok)
        p = put_two(p, OPT_NOP, OPT_NOP);
    if (o->ts)
        p = put_ts(p, o);
    if (o->wscale != WSCALE_NONE) {
        p = put_two(p, OPT_NOP, OPT_WSCALE);
        p = put_two(p, 3, o->wscale);
    }
    return p;
}

/* Each has its length (MUST-68); NOPs fill up, so there is no end of list with bytes behind it (MUST-69). */
uint16_t tcp_opts_emit(uint8_t *p, const struct tcp_opts *o, uint8_t flags)
{
    uint8_t *end = p;
    if (flags & F_SYN) {
        end = put_syn(p, o);
    } else {
        if (o->ts)
            end = put_ts(put_two(p, OPT_NOP, OPT_NOP), o);
        if (o->n_sack)
            end = put_sack(end, o);
    }
    return (uint16_t)(end - p);
}
