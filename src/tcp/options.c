/* options.c - what the two ends agree on at the handshake: results, not bytes (the codec is wire/). */
#include "tcp/tcp.h"

#define MSS_DEFAULT_4 536u  /* RFC 9293 MUST-15 */
#define MSS_DEFAULT_6 1220u
#define MSS_LEAST     28u /* every IPv4 path carries 68 bytes (RFC 791 3.2); less is an attack on our time */

/* The smallest shift with which the whole buffer can be offered (RFC7323-2.3-b), at most 14
 * (RFC7323-2.3-f). */
uint8_t options_wscale(uint32_t buffer)
{
    uint32_t bits = 32 - (uint32_t)__builtin_clz(buffer | 1);
    return (uint8_t)(bits <= 16 ? 0 : min_u32(bits - 16, 14));
}

/* What holds after the peer's SYN, its MSS too (MUST-14). `our_wscale` WSCALE_NONE: we did not offer scaling.
 * An option is agreed when both sides named it (RFC7323-2.2-c, RFC7323-2.3-c, RFC7323-3.2-h; RFC 2018
 * 2). */
void options_agree(struct tern *t, const struct segment *s, uint8_t our_wscale, struct agreed *out)
{
    const struct settings *set = settings(t);
    memset(out, 0, sizeof *out);
    out->mss = s->opt.mss;
    if (out->mss == 0)
        out->mss = (uint16_t)(tern_ip_is4(&s->src) ? MSS_DEFAULT_4 : MSS_DEFAULT_6);
    out->wscale = s->opt.wscale != WSCALE_NONE && our_wscale != WSCALE_NONE;
    out->snd_wscale = out->wscale ? s->opt.wscale : 0;
    out->rcv_wscale = out->wscale ? our_wscale : 0;
    out->ts = s->opt.ts && set->timestamps;
    out->sack = s->opt.sack_ok && set->sack;
}

/* SHLD-8: a SYN with ECE and CWR asks, and only then we agree (RFC3168-6.1.1-abh). */
bool options_ecn(const struct listener *l, const struct segment *s)
{
    return l->set.ecn != TERN_ECN_OFF && (s->flags & (F_ECE | F_CWR)) == (F_ECE | F_CWR);
}

/* Eff.snd.MSS (RFC 9293 MUST-16): the smaller of the peer's MSS and the path, less the options every segment
 * carries. */
uint32_t options_mss(const struct agreed *opt, uint32_t mtu_mss, uint16_t max_seg)
{
    uint32_t mss = min_u32(opt->mss, mtu_mss);
    if (max_seg != 0)
        mss = min_u32(mss, max_seg);
    mss = max_u32(mss, MSS_LEAST);
    return mss - (opt->ts ? 12 : 0);
}
