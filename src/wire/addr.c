/* addr.c - questions about addresses. IPv4 addresses are ::ffff:a.b.c.d, so byte 12 is their first. */
#include "wire.h"

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
