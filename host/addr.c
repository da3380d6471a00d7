/* addr.c - addresses as text. IPv4 is kept as ::ffff:a.b.c.d, so that text is the same address. */
#include <tern/host.h>

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

int tern_ip_parse(const char *text, tern_ip *out)
{
    uint8_t four[4];
    if (inet_pton(AF_INET, text, four) == 1) {
        *out = tern_ip4(four[0], four[1], four[2], four[3]);
        return 0;
    }
    tern_ip ip;
    if (inet_pton(AF_INET6, text, ip.b) != 1)
        return -EINVAL;
    *out = ip;
    return 0;
}

const char *tern_ip_text(const tern_ip *ip, char buf[46])
{
    bool v4 = tern_ip_is4(ip);
    return inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? ip->b + 12 : ip->b, buf, 46);
}

/* Decimal digits only, no sign, no blank; negative: not a number in 0..max. */
static int parse_prefix(const char *text, int max)
{
    int v = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 3 || text[digits] != '\0')
        return -EINVAL;
    for (; *text; text++)
        v = v * 10 + (*text - '0');
    return v <= max ? v : -EINVAL;
}

int tern_cidr_parse(const char *text, tern_ip *out, int *prefix_len)
{
    char ip_text[46];
    tern_ip ip;
    size_t len = strcspn(text, "/");
    if (len >= sizeof ip_text)
        return -EINVAL;
    memcpy(ip_text, text, len);
    ip_text[len] = '\0';
    if (tern_ip_parse(ip_text, &ip) < 0)
        return -EINVAL;
    int bits = tern_ip_is4(&ip) ? 32 : 128;
    int prefix = text[len] == '/' ? parse_prefix(text + len + 1, bits) : bits;
    if (prefix < 0)
        return prefix;
    *out = ip;
    *prefix_len = prefix;
    return 0;
}
