/* Any bytes as an ICMP message, checksum made right: written again it is the same. The first byte: bit 0
 * IPv6. */
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t p[4096];
    struct icmp_msg m;
    if (size < 9 || size > sizeof p)
        return 0;
    struct ip_hdr ip = {.src = tern_ip4(192, 0, 2, 1), .dst = tern_ip4(192, 0, 2, 2), .version = 4};
    if (data[0] & 1)
        ip.src.b[0] = ip.dst.b[0] = 0x20, ip.version = 6;
    ip.payload = data + 1, ip.payload_len = (uint32_t)size - 1;
    icmp_parse(&ip, &m);
    memcpy(p, ip.payload, ip.payload_len);
    icmp_emit(p, ip.version, p[0], p[1], get32(p + 4), data + 9, ip.payload_len - 8, &ip.src, &ip.dst);
    ASSERT(memcmp(p, ip.payload, 2) == 0 && memcmp(p + 4, ip.payload + 4, 4) == 0);
    /* the body stays in the input, so that a read beyond it is seen */
    uint8_t *exact = (uint8_t *)(uintptr_t)(p + sizeof p - ip.payload_len);
    memmove(exact, p, ip.payload_len);
    ip.payload = exact;
    ASSERT(icmp_parse(&ip, &m) == TERN_CAUSE_NONE);
    ASSERT(m.body == exact + 8 && m.body_len == ip.payload_len - 8 && m.version == ip.version);
    ASSERT(!m.has_tcp || (m.is_error && m.body_len >= 28));
    ASSERT(!m.has_tcp || tern_ip_is4(&m.in_src) == (m.version == 4));
    return 0;
}
