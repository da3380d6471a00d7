/* source.c - which of our addresses a connection is opened from (RFC 6724 5), when the program does not say.
 *
 * The rules are asked in their order, each only when those before left two addresses equal:
 *
 *   1  the destination itself                     5  an address of the link that leads there
 *   2  a scope that fits (a wider one is better   6  the same label in the policy table (2.1)
 *      than a too narrow one)                     8  the longest common prefix, up to our own prefix (2.2)
 *   3  not deprecated
 *
 * Rules 4 (mobile IP), 5.5 (addresses by router advertisements) and 7 (temporary addresses) speak of what
 * does not exist here. What is still equal is decided by the order of adding. Candidates (4) are the
 * addresses of the link; only when it has none that can be meant, those of other links too, but never
 * link-local ones of another link. IPv4, which the RFC leaves open, is chosen by the same rules, with the
 * scopes of 3.2.
 */
#include "ip/ip.h"

struct policy {
    tern_ip prefix;
    uint8_t bits, label;
};

/* The default policy table, RFC 6724 2.1. Bits count all 128. */
static const struct policy table[] = {
    {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}, 128, 0},
    {{{0}}, 0, 1},
    {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}}, 96, 4},
    {{{0x20, 0x02}}, 16, 2},
    {{{0x20, 0x01}}, 32, 5},
    {{{0xfc}}, 7, 13},
    {{{0}}, 96, 3},
    {{{0xfe, 0xc0}}, 10, 11},
    {{{0x3f, 0xfe}}, 16, 12},
};

/* Bits that two addresses have in common from the front. */
static int common_bits(const tern_ip *a, const tern_ip *b)
{
    int n = 0;
    while (n < 128 && ((a->b[n / 8] ^ b->b[n / 8]) >> (7 - n % 8) & 1) == 0)
        n++;
    return n;
}

/* Of the longest prefix that matches. */
static uint8_t label_of(const tern_ip *ip)
{
    const struct policy *best = &table[1];
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].bits >= best->bits && common_bits(&table[i].prefix, ip) >= table[i].bits)
            best = &table[i];
    return best->label;
}

enum { SCOPE_LINK = 2, SCOPE_SITE = 5, SCOPE_GLOBAL = 14 }; /* RFC 6724 3.1, RFC 4291 2.7 */

static int scope_of(const tern_ip *ip)
{
    if (tern_ip_is4(ip)) /* 3.2: loopback and auto-configured addresses; all others are global */
        return ip->b[12] == 127 || (ip->b[12] == 169 && ip->b[13] == 254) ? SCOPE_LINK : SCOPE_GLOBAL;
    if (ip_is_link_local6(ip) || common_bits(ip, &table[0].prefix) == 128) /* 3.4: ::1 */
        return SCOPE_LINK;
    return common_bits(ip, &table[7].prefix) >= 10 ? SCOPE_SITE : SCOPE_GLOBAL;
}

/* 2.2: CommonPrefixLen(S, D), "up to the length of S's prefix". */
static int common_prefix(const struct ip_addr *s, const tern_ip *dst)
{
    int most = s->prefix_len + (tern_ip_is4(&s->ip) ? 96 : 0), n = common_bits(&s->ip, dst);
    return n < most ? n : most;
}

/* Rule 2: positive when `a` is better. */
static int by_scope(int a, int b, int dst)
{
    if (a == b)
        return 0;
    bool narrower_is_a = a < b;
    bool narrower_fits = (narrower_is_a ? a : b) >= dst;
    return narrower_is_a == narrower_fits ? 1 : -1;
}

static int by_truth(bool a, bool b) { return (int)a - (int)b; }

/* Whether `a` is better than `b`. */
static bool better(const struct ip_addr *a, const struct ip_addr *b, int link, const tern_ip *dst)
{
    int c = by_truth(ip_eq(&a->ip, dst), ip_eq(&b->ip, dst)); /* rule 1 */
    if (c == 0)
        c = by_scope(scope_of(&a->ip), scope_of(&b->ip), scope_of(dst)); /* rule 2 */
    if (c == 0)
        c = by_truth(!a->deprecated, !b->deprecated); /* rule 3 */
    if (c == 0)
        c = by_truth(a->link == link, b->link == link); /* rule 5 */
    uint8_t label = label_of(dst);
    if (c == 0)
        c = by_truth(label_of(&a->ip) == label, label_of(&b->ip) == label); /* rule 6 */
    if (c == 0)
        c = common_prefix(a, dst) - common_prefix(b, dst); /* rule 8 */
    return c > 0;
}

/* RFC 6724 4: of the destination's family; link-local ones only on their own link. An address of another link
 * can be meant when the destination is beyond the link too. */
static bool candidate(const struct ip_addr *a, int link, const tern_ip *dst, bool of_link)
{
    if (tern_ip_is4(&a->ip) != tern_ip_is4(dst) || a->state != TERN_ADDR_USABLE)
        return false; /* tentative ones are none yet (RFC 4862 5.4) */
    if (a->link == link)
        return true;
    return !of_link && scope_of(&a->ip) != SCOPE_LINK && scope_of(dst) != SCOPE_LINK;
}

static const struct ip_addr *best_of(const struct ip_state *s, int link, const tern_ip *dst, bool of_link)
{
    const struct ip_addr *best = NULL;
    for (uint32_t i = 0; i < s->n_addrs; i++) {
        const struct ip_addr *a = &s->addrs[i];
        if (candidate(a, link, dst, of_link) && (best == NULL || better(a, best, link, dst)))
            best = a;
    }
    return best;
}

bool ip_source(const struct ip_state *s, int link, const tern_ip *dst, tern_ip *out)
{
    const struct ip_addr *a = best_of(s, link, dst, true);
    /* a link whose own addresses cannot reach beyond it borrows one that can */
    if (a == NULL || scope_of(&a->ip) < scope_of(dst)) {
        const struct ip_addr *other = best_of(s, link, dst, false);
        a = other != NULL ? other : a;
    }
    if (a == NULL)
        return false;
    *out = a->ip;
    return true;
}
