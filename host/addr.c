/* addr.c - addresses as text. IPv4 is kept as ::ffff:a.b.c.d, so that text is the same address. */
#include <tern/host.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
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

/* Decimal digits to a number in 0..max; negative: they are none. */
static long parse_number(const char *text, size_t len, long max)
{
    long v = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || i > 8)
            return -1;
        v = v * 10 + (text[i] - '0');
    }
    return len > 0 && v <= max ? v : -1;
}

/* The zone behind '%' (RFC 4007 11). */
static int parse_zone(const char *text, size_t len, const tern_host *h)
{
    char name[32];
    long id = parse_number(text, len, 15);
    if (id > 0)
        return (int)id;
    if (h == NULL || len == 0 || len >= sizeof name)
        return len == 0 || h == NULL ? -EINVAL : -TERN_ENODEV;
    memcpy(name, text, len);
    name[len] = '\0';
    return tern_host_link_id(h, name);
}

/* "fe80::1%3", `len` bytes of it. */
static int parse_host(const char *text, size_t len, const tern_host *h, tern_endpoint *out)
{
    char ip[46];
    const char *percent = memchr(text, '%', len);
    size_t ip_len = percent ? (size_t)(percent - text) : len;
    if (ip_len >= sizeof ip)
        return -EINVAL;
    memcpy(ip, text, ip_len);
    ip[ip_len] = '\0';
    int zone = percent ? parse_zone(percent + 1, len - ip_len - 1, h) : 0;
    if (zone < 0)
        return zone;
    out->zone = (uint16_t)zone;
    int rc = tern_ip_parse(ip, &out->ip);
    return rc == 0 && percent && tern_ip_is4(&out->ip) ? -EINVAL : rc;
}

/* Where the address ends: the port's colon, or the end. A bare IPv6 address has colons of its own. */
static const char *find_port(const char *text)
{
    const char *first = strchr(text, ':');
    return first && !strchr(first + 1, ':') ? first : text + strlen(text);
}

int tern_endpoint_parse(const char *text, const tern_host *h, tern_endpoint *out)
{
    tern_endpoint e = {0};
    bool bracket = *text == '[';
    const char *start = text + bracket, *end = bracket ? strchr(text, ']') : find_port(text);
    int rc = end ? parse_host(start, (size_t)(end - start), h, &e) : -EINVAL;
    if (rc < 0)
        return rc;
    if (bracket && tern_ip_is4(&e.ip))
        return -EINVAL;
    end += bracket;
    long port = *end == ':' ? parse_number(end + 1, strlen(end + 1), 65535) : 0;
    if (port < 0 || (*end != ':' && *end != '\0'))
        return -EINVAL;
    e.port = (uint16_t)port;
    *out = e;
    return 0;
}

const char *tern_endpoint_text(const tern_endpoint *e, const tern_host *h, char buf[96])
{
    char ip[46], zone[40] = "";
    tern_ip_text(&e->ip, ip);
    const char *name = h && e->zone != 0 ? tern_host_link_name(h, e->zone) : "";
    if (e->zone != 0 && !tern_ip_is4(&e->ip) && *name != '\0')
        snprintf(zone, sizeof zone, "%%%s", name);
    else if (e->zone != 0 && !tern_ip_is4(&e->ip))
        snprintf(zone, sizeof zone, "%%%u", e->zone);
    snprintf(buf, 96, tern_ip_is4(&e->ip) ? "%s%s:%u" : "[%s%s]:%u", ip, zone, e->port);
    return buf;
}
