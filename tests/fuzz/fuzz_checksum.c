/* Differential: every way to an Internet checksum gives what the definition gives (RFC 1071 1): the core's
 * over whole, cut, odd and sliced bytes, the links', and that of the simulation and of the peers of scripts
 * (sim/bytes.h).
 *
 *   bytes 0..4   how the rest is cut, and where it lies; the rest is what is summed
 */
#include "fuzz/checksum_sim.h"
#include "link/packet.h"
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 4096, HEAD = 5 };

/* The definition: 16-bit words in network order, the last one completed with zero, and carries put back. */
static uint16_t by_definition(const uint8_t *p, size_t n)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (uint32_t)p[i] << (i & 1 ? 0 : 8);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)~sum;
}

/* Zero is two numbers in one's complement; both mean that the sum is right. */
static bool same(uint16_t a, uint16_t b)
{
    return a == b || (uint16_t)(a + b) == 0xffff * (a == 0 || b == 0);
}

static void check_parts(const uint8_t *p, size_t n, const uint8_t *cuts, uint16_t want)
{
    size_t a = (size_t)cuts[0] * n / 255, b = a + (size_t)cuts[1] * (n - a) / 255;
    uint64_t sum = csum_add(0, p, a);
    sum = (a & 1 ? csum_add_odd : csum_add)(sum, p + a, b - a);
    sum = (b & 1 ? csum_add_odd : csum_add)(sum, p + b, n - b);
    ASSERT(same(csum_fold(sum), want));
    tern_slice slices[4] = {
        {p, (uint32_t)a}, {p + a, 0}, {p + a, (uint32_t)(b - a)}, {p + b, (uint32_t)(n - b)}};
    ASSERT(same(csum_fold(csum_slices(0, slices, 4, csum_plain)), want));
}

/* Any bytes behind a TCP header: who makes the checksum makes the same, and each finds it right. */
static void check_packet(const uint8_t *p, uint32_t n, bool v6)
{
    static uint8_t packet[MOST + 60], again[MOST + 60];
    tern_ip src = v6 ? (tern_ip){{0x20, 1, 0x0d, 0xb8, [15] = 1}} : tern_ip4(192, 0, 2, 1), dst = src;
    dst.b[15] = 2;
    uint32_t at = ip_emit(packet, &src, &dst, PROTO_TCP, 64, 0, 20 + n, 7), len = at + 20 + n;
    memset(packet + at, 0, 20);
    packet[at + 12] = 0x50;
    memcpy(packet + at + 20, p, n);
    memcpy(again, packet, len);
    transport_checksum(again, len, at, 16);
    put16(packet + at + 16,
          csum_fold(csum_add(csum_pseudo(&src, &dst, PROTO_TCP, 20 + n), packet + at, 20 + n)));
    ASSERT(same(get16(packet + at + 16), get16(again + at + 16)));
    ASSERT(packet_checksums_ok(packet, len) && packet_checksums_ok(again, len));
    struct ip_hdr ip;
    struct segment s;
    ASSERT(ip_parse(packet, len, &ip) == TERN_CAUSE_NONE && tcp_parse(&ip, true, &s) == TERN_CAUSE_NONE);
    ASSERT(sim_judges(packet, len) == NULL && sim_judges(again, len) == NULL);
    if (!v6) {
        ip4_header_checksum(again);
        ASSERT(memcmp(again, packet, 20) == 0);
    }
}

/* And who finds one wrong, all find it wrong. */
static void check_damage(const uint8_t *p, uint32_t n, uint8_t where)
{
    static uint8_t packet[MOST + 20];
    tern_ip src = tern_ip4(192, 0, 2, 1), dst = tern_ip4(192, 0, 2, 2);
    struct ip_hdr ip;
    struct segment s;
    if (n < 20)
        return;
    uint32_t at = ip_emit(packet, &src, &dst, PROTO_TCP, 64, 0, n, 7), len = at + n;
    memcpy(packet + at, p, n);
    packet[at + 12] = 0x50;
    if (where & 1)
        transport_checksum(packet, len, at, 16);
    packet[at + 20 + where % (n - 19) - 1] ^= (uint8_t)(where >> 1);
    packet[at + 12] = 0x50;
    ASSERT(ip_parse(packet, len, &ip) == TERN_CAUSE_NONE);
    bool right = tcp_parse(&ip, true, &s) == TERN_CAUSE_NONE;
    ASSERT(right == packet_checksums_ok(packet, len) && right == (sim_judges(packet, len) == NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t room[MOST + 16];
    if (size < HEAD || size > MOST)
        return 0;
    size_t n = size - HEAD;
    uint8_t *p = room + data[2] % 16; /* anywhere: no load may need its place */
    memcpy(p, data + HEAD, n);
    uint16_t want = by_definition(p, n);
    ASSERT(same(csum_fold(csum_add(0, p, n)), want));
    check_parts(p, n, data, want);
    check_packet(p, (uint32_t)n, data[3] & 1);
    check_damage(p, (uint32_t)n, data[4]);
    return 0;
}
