/* addr.c - questions about addresses. IPv4 addresses are ::ffff:a.b.c.d, so byte 12 is their first. */
#include "wire.h"

bool ip_eq(const tern_ip *a, const tern_ip *b)
{
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}

/* 224.0.0.0/4 (RFC 1112 4); ff00::/8 (RFC 4291 2.7). */
bool ip_is_multicast(const tern_ip *ip)
{
    return tern_ip_is4(ip) ? (ip->b[12] & 0xf0) == 0xe0 : ip->b[0] == 0xff;
}

/* 0.0.0.0 (RFC 1122 3.2.1.3 a); :: (RFC 4291 2.5.2). */
bool ip_is_unspecified(const tern_ip *ip)
{
    uint8_t any = 0;
    for (int i = tern_ip_is4(ip) ? 12 : 0; i < 16; i++)
        any |= ip->b[i];
    return any == 0;
}

/* RFC 1122 3.2.1.3 c. */
bool ip_is_broadcast4(const tern_ip *ip)
{
    return tern_ip_is4(ip) && get32(ip->b + 12) == 0xffffffff;
}

/* fe80::/10 (RFC 4291 2.5.6). */
bool ip_is_link_local6(const tern_ip *ip)
{
    return ip->b[0] == 0xfe && (ip->b[1] & 0xc0) == 0x80;
}

bool ip_prefix_eq(const tern_ip *a, const tern_ip *b, int len)
{
    bool is4 = tern_ip_is4(a);
    if (is4 != tern_ip_is4(b) || len < 0 || len > (is4 ? 32 : 128))
        return false;
    const uint8_t *x = a->b + (is4 ? 12 : 0), *y = b->b + (is4 ? 12 : 0);
    size_t whole = (size_t)len / 8;
    uint8_t mask = (uint8_t)(0xff00 >> (len % 8));
    return memcmp(x, y, whole) == 0 && (mask == 0 || ((x[whole] ^ y[whole]) & mask) == 0);
}
