/* parse_packet.c - reads one packet of a script:
 *
 *     < [ect0] 40001 > 8080 P. 1:1001(1000) ack 1 win 257 urg 5 <nop,nop,TS val 100 ecr 200>
 *     < icmp unreachable frag_needed mtu 1200 [1:1461(1460)]
 *
 * direction, marks of the IP header, ports (source first), flags, sequence numbers with the length,
 * acknowledgment, window, urgent pointer, options. The numbers are the script's own; flow.c makes them live.
 */
#include "check/parse.h"

#include <string.h>

enum { U8 = 255, U16 = 65535 };
#define U32 4294967295ll

/* --- marks of the IP header ------------------------------------------------------------------ */

static void set_ecn(struct packet_spec *k, uint8_t check, uint8_t bits)
{
    k->tos_check = check;
    k->tos = bits;
}

static void parse_mark(struct parser *p, struct packet_spec *k)
{
    struct token t = parse_take(p);
    if (token_is(&t, "noecn"))
        set_ecn(k, TOS_ECN, 0);
    else if (token_is(&t, "ect1"))
        set_ecn(k, TOS_ECN, 1);
    else if (token_is(&t, "ect0"))
        set_ecn(k, TOS_ECN, 2);
    else if (token_is(&t, "ce"))
        set_ecn(k, TOS_ECN, 3);
    else if (token_is(&t, "ect01") && k->outbound)
        set_ecn(k, TOS_ECT, 0);
    else if (token_is(&t, "tos"))
        set_ecn(k, TOS_ALL, (uint8_t)parse_number(p, "tos", 0, U8));
    else if (token_is(&t, "ttl"))
        k->ttl = (uint8_t)parse_number(p, "ttl", 0, U8);
    else if (token_is(&t, "badcsum") && !k->outbound)
        k->bad_checksum = true;
    else if (token_is(&t, "flowlabel")) {
        k->has_flow = true;
        k->flow_label = (uint32_t)parse_number(p, "flowlabel", 0, 0xfffff);
    } else
        parse_wrong(p, &t, "'%.*s' is no mark of the IP header that can stand here", (int)t.len, t.text);
}

static void parse_marks(struct parser *p, struct packet_spec *k)
{
    char close = token_sign(&p->now, '[') ? ']' : ')';
    parse_take(p);
    do {
        parse_mark(p, k);
    } while (parse_if(p, ','));
    parse_sign(p, close, "behind the marks of the IP header");
}

/* --- flags ----------------------------------------------------------------------------------- */

static void add_flags(struct parser *p, struct packet_spec *k, const struct token *t)
{
    static const char letters[] = "FSRP.UEWA";
    for (size_t i = 0; i < t->len; i++) {
        const char *found = strchr(letters, t->text[i]);
        if (found == NULL || *found == 0)
            parse_wrong(p, t, "'%c' is no flag; flags are F S R P . U E W A, or - for none", t->text[i]);
        uint16_t bit = (uint16_t)(1 << (found - letters));
        if (k->flags & bit)
            parse_wrong(p, t, "the flag %c stands there twice", t->text[i]);
        k->flags |= bit;
    }
}

static void parse_flags(struct parser *p, struct packet_spec *k)
{
    if (parse_if(p, '-'))
        return;
    if (p->now.kind == TOKEN_WORD) {
        add_flags(p, k, &p->now);
        parse_take(p);
    } else if (!token_sign(&p->now, '.') && p->now.kind != TOKEN_DECIMAL) {
        parse_wrong(p, &p->now, "flags must stand here: of F S R P . U E W A, or - for none");
    }
    if (p->now.kind == TOKEN_DECIMAL)
        parse_skip(p, &p->now, "the ACE counter of AccECN; tern has the ECN of RFC 3168");
    if (parse_if(p, '.'))
        k->flags |= ACK;
}

/* --- options --------------------------------------------------------------------------------- */

static void parse_sacks(struct parser *p, struct tcp_option *o)
{
    while (p->now.kind == TOKEN_INTEGER) {
        if (o->n_sack == SACKS_MAX)
            parse_wrong(p, &p->now, "at most %d SACK blocks fit into a segment", SACKS_MAX);
        o->sack[o->n_sack].left = (uint32_t)parse_number(p, "the left edge of a SACK block", 0, U32);
        parse_sign(p, ':', "between the edges of a SACK block");
        o->sack[o->n_sack].right = (uint32_t)parse_number(p, "the right edge of a SACK block", 0, U32);
        o->n_sack++;
    }
    o->len = (uint8_t)(2 + 8 * o->n_sack);
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* raw fd04abcd: bytes as they are, of an option that no name is for or that is wrong on purpose. */
static void parse_raw(struct parser *p, struct tcp_option *o)
{
    struct token t = parse_take(p);
    if ((t.kind != TOKEN_WORD && t.kind != TOKEN_INTEGER) || t.len % 2 || t.len > 2 * OPTIONS_MAX)
        parse_wrong(p, &t, "bytes in hexadecimal must stand behind raw, at most %d", OPTIONS_MAX);
    for (size_t i = 0; i < t.len; i += 2) {
        int high = hex_value(t.text[i]), low = hex_value(t.text[i + 1]);
        if (high < 0 || low < 0)
            parse_wrong(p, &t, "bytes in hexadecimal must stand behind raw, at most %d", OPTIONS_MAX);
        o->raw[o->raw_len++] = (uint8_t)(high << 4 | low);
    }
    o->kind = o->raw[0];
    o->len = o->raw_len;
}

static void set_option(struct tcp_option *o, uint8_t kind, uint8_t len)
{
    o->kind = kind;
    o->len = len;
}

static void parse_timestamps(struct parser *p, struct tcp_option *o)
{
    struct token t = p->now;
    if (!parse_if_word(p, "val"))
        parse_wrong(p, &t, "val must stand behind TS");
    o->ts_val = (uint32_t)parse_number(p, "val", 0, U32);
    t = p->now;
    if (!parse_if_word(p, "ecr"))
        parse_wrong(p, &t, "ecr must stand behind TS val");
    o->ts_ecr = (uint32_t)parse_number(p, "ecr", 0, U32);
}

static void parse_tcp_option(struct parser *p, struct tcp_option *o)
{
    struct token t = parse_take(p);
    if (token_is(&t, "nop"))
        set_option(o, OPTION_NOP, 1);
    else if (token_is(&t, "eol"))
        set_option(o, OPTION_EOL, 1);
    else if (token_is(&t, "sackOK"))
        set_option(o, OPTION_SACK_OK, 2);
    else if (token_is(&t, "mss")) {
        set_option(o, OPTION_MSS, 4);
        o->mss = (uint16_t)parse_number(p, "mss", 0, U16);
    } else if (token_is(&t, "wscale")) {
        set_option(o, OPTION_WSCALE, 3);
        o->wscale = (uint8_t)parse_number(p, "wscale", 0, U8);
    } else if (token_is(&t, "TS")) {
        set_option(o, OPTION_TS, 10);
        parse_timestamps(p, o);
    } else if (token_is(&t, "sack")) {
        set_option(o, OPTION_SACK, 2);
        parse_sacks(p, o);
    } else if (token_is(&t, "raw"))
        parse_raw(p, o);
    else if (t.kind == TOKEN_WORD)
        parse_skip(p, &t, "the TCP option %.*s", (int)t.len, t.text);
    else
        parse_wrong(p, &t, "the name of a TCP option must stand here");
}

static void parse_options(struct parser *p, struct packet_spec *k)
{
    struct token t = p->now;
    uint32_t bytes = 0;
    if (!parse_if(p, '<'))
        return;
    if (p->now.kind == TOKEN_ELLIPSIS) {
        if (!k->outbound)
            parse_wrong(p, &p->now, "<...> is for packets that tern sends");
        parse_take(p);
        k->any_options = true;
    } else {
        do {
            struct tcp_option *o = &k->options[k->n_options];
            if (k->n_options == OPTIONS_MAX)
                parse_wrong(p, &p->now, "TCP options take at most %d bytes", OPTIONS_MAX);
            parse_tcp_option(p, o);
            k->n_options++;
            bytes += o->len;
        } while (parse_if(p, ','));
    }
    parse_sign(p, '>', "behind the TCP options");
    if (bytes > OPTIONS_MAX)
        parse_wrong(p, &t, "TCP options take at most %d bytes, not %u", OPTIONS_MAX, bytes);
}

/* --- segments -------------------------------------------------------------------------------- */

static void parse_seq(struct parser *p, struct packet_spec *k)
{
    struct token t = p->now;
    k->seq = (uint32_t)parse_number(p, "the sequence number", 0, U32);
    parse_sign(p, ':', "between the sequence numbers");
    uint32_t end = (uint32_t)parse_number(p, "the sequence number behind the payload", 0, U32);
    parse_sign(p, '(', "before the length of the payload");
    k->len = (uint32_t)parse_number(p, "the length of the payload", 0, U16);
    parse_sign(p, ')', "behind the length of the payload");
    if (end != k->seq + k->len)
        parse_wrong(p, &t, "%u:%u(%u) does not add up", k->seq, end, k->len);
}

static void parse_ports(struct parser *p, struct packet_spec *k)
{
    if (p->now.kind != TOKEN_INTEGER)
        return;
    k->has_ports = true;
    k->src_port = (uint16_t)parse_number(p, "a port", 1, U16);
    parse_sign(p, '>', "between two ports");
    k->dst_port = (uint16_t)parse_number(p, "a port", 1, U16);
}

static void parse_segment(struct parser *p, struct packet_spec *k)
{
    parse_ports(p, k);
    parse_flags(p, k);
    parse_seq(p, k);
    if (parse_if_word(p, "ack")) {
        k->has_ack = true;
        k->ack = (uint32_t)parse_number(p, "ack", 0, U32);
    }
    if (parse_if_word(p, "win")) {
        k->has_win = true;
        k->win = (uint16_t)parse_number(p, "win", 0, U16);
    }
    if (parse_if_word(p, "urg"))
        k->urg = (uint16_t)parse_number(p, "urg", 0, U16);
    parse_options(p, k);
}

/* --- ICMP ------------------------------------------------------------------------------------ */

struct icmp_name {
    const char *type, *code; /* code NULL: the type alone, or any code by number */
    uint8_t type4, code4, type6, code6;
};
enum { NOT = 255 };

/* RFC 792, RFC 1122 3.2.2, RFC 1812 5.2.7; RFC 4443. NOT: that version has it not. */
static const struct icmp_name icmp_names[] = {
    {"unreachable", "net_unreachable", 3, 0, 1, 0},
    {"unreachable", "host_unreachable", 3, 1, NOT, 0},
    {"unreachable", "protocol_unreachable", 3, 2, NOT, 0},
    {"unreachable", "port_unreachable", 3, 3, 1, 4},
    {"unreachable", "frag_needed", 3, 4, NOT, 0},
    {"unreachable", "source_route_failed", 3, 5, NOT, 0},
    {"unreachable", "net_unknown", 3, 6, NOT, 0},
    {"unreachable", "host_unknown", 3, 7, NOT, 0},
    {"unreachable", "source_host_isolated", 3, 8, NOT, 0},
    {"unreachable", "net_prohibited", 3, 9, NOT, 0},
    {"unreachable", "host_prohibited", 3, 10, NOT, 0},
    {"unreachable", "net_unreachable_for_tos", 3, 11, NOT, 0},
    {"unreachable", "host_unreachable_for_tos", 3, 12, NOT, 0},
    {"unreachable", "packet_filtered", 3, 13, NOT, 0},
    {"unreachable", "precedence_violation", 3, 14, NOT, 0},
    {"unreachable", "precedence_cutoff", 3, 15, NOT, 0},
    {"unreachable", "no_route", NOT, 0, 1, 0},
    {"unreachable", "admin_prohibited", NOT, 0, 1, 1},
    {"unreachable", "not_neighbour", NOT, 0, 1, 2},
    {"unreachable", "address_unreachable", NOT, 0, 1, 3},
    {"unreachable", NULL, 3, 0, 1, 0},
    {"source_quench", NULL, 4, 0, NOT, 0},
    {"redirect", NULL, 5, 0, NOT, 0},
    {"packet_too_big", NULL, NOT, 0, 2, 0},
    {"time_exceeded", "exceeded_hop_limit", NOT, 0, 3, 0},
    {"time_exceeded", "exceeded_frag_time", NOT, 0, 3, 1},
    {"time_exceeded", NULL, 11, 0, 3, 0},
    {"parameter_problem", "header_field", NOT, 0, 4, 0},
    {"parameter_problem", "unknown_next_header", NOT, 0, 4, 1},
    {"parameter_problem", "unknown_option", NOT, 0, 4, 2},
    {"parameter_problem", NULL, 12, 0, 4, 0},
    {"echo_request", NULL, 8, 0, 128, 0},
    {"echo_reply", NULL, 0, 0, 129, 0},
};

/* N of "type_N" or "code_N"; -1. */
static int numbered(const struct token *t, const char *prefix)
{
    int n = 0;
    if (t->kind != TOKEN_WORD || t->len < 6 || t->len > 8 || memcmp(t->text, prefix, 5) != 0)
        return -1;
    for (size_t i = 5; i < t->len; i++) {
        if (t->text[i] < '0' || t->text[i] > '9')
            return -1;
        n = n * 10 + t->text[i] - '0';
    }
    return n <= U8 ? n : -1;
}

/* The row of this type and code; code NULL: the first that needs none, else the first of the type. */
static const struct icmp_name *find_icmp(const struct token *type, const struct token *code)
{
    for (size_t i = 0; i < sizeof icmp_names / sizeof icmp_names[0]; i++) {
        const struct icmp_name *n = &icmp_names[i];
        if (token_is(type, n->type) && (code ? n->code && token_is(code, n->code) : n->code == NULL))
            return n;
    }
    return NULL;
}

static bool is_icmp_field(const struct token *t)
{
    return token_is(t, "mtu") || token_is(t, "id");
}

static void parse_icmp_code(struct parser *p, struct packet_spec *k, const struct token *type)
{
    struct token code = p->now;
    if (code.kind != TOKEN_WORD || is_icmp_field(&code) || p->ahead.kind == TOKEN_END)
        return;
    int n = numbered(&code, "code_");
    const struct icmp_name *found = find_icmp(type, &code);
    if (n < 0 && found == NULL)
        parse_wrong(p, &code, "'%.*s' is no code of ICMP %.*s", (int)code.len, code.text, (int)type->len,
                    type->text);
    parse_take(p);
    if (n >= 0) {
        k->code = (uint8_t)n;
        return;
    }
    uint8_t of = p->s->v6 ? found->type6 : found->type4;
    if (of == NOT)
        parse_wrong(p, &code, "%s has no ICMP %s", p->s->v6 ? "IPv6" : "IPv4", found->code);
    k->type = of;
    k->code = p->s->v6 ? found->code6 : found->code4;
}

static void parse_icmp_type(struct parser *p, struct packet_spec *k)
{
    struct token t = p->now;
    int n = numbered(&t, "type_");
    const struct icmp_name *found = find_icmp(&t, NULL);
    if (n < 0 && found == NULL)
        parse_wrong(p, &t, "'%.*s' is no type of ICMP", (int)t.len, t.text);
    parse_take(p);
    uint8_t named = found == NULL ? (uint8_t)n : p->s->v6 ? found->type6 : found->type4;
    if (found != NULL && named == NOT)
        parse_wrong(p, &t, "%s has no ICMP %s", p->s->v6 ? "IPv6" : "IPv4", found->type);
    k->type = named;
    parse_icmp_code(p, k, &t);
}

static void parse_icmp(struct parser *p, struct packet_spec *k)
{
    struct token t = parse_take(p);
    if (k->outbound)
        parse_skip(p, &t, "ICMP from tern; what it answers to echo requests is not for this tool");
    k->icmp = true;
    parse_icmp_type(p, k);
    if (parse_if_word(p, "mtu")) {
        k->has_mtu = true;
        k->mtu = (uint32_t)parse_number(p, "mtu", 0, U32);
    }
    if (parse_if_word(p, "id"))
        parse_number(p, "id", 0, U16);
    if (!parse_if(p, '['))
        return;
    if (p->now.kind == TOKEN_WORD)
        parse_skip(p, &p->now, "ICMP about %.*s", (int)p->now.len, p->now.text);
    k->has_echo = true;
    parse_seq(p, k);
    parse_sign(p, ']', "behind the sequence numbers");
}

struct packet_spec *parse_packet(struct parser *p)
{
    static const char *const not_here[] = {"udp",   "sctp", "ipv4", "ipv6",   "gre",
                                           "GREv0", "mpls", "raw",  "udplite"};
    struct packet_spec *k = parse_alloc(p, sizeof *k);
    k->outbound = parse_take(p).number == '>';
    for (size_t i = 0; i < sizeof not_here / sizeof not_here[0]; i++)
        if (token_is(&p->now, not_here[i]))
            parse_skip(p, &p->now, "%s packets", not_here[i]);
    if (token_sign(&p->now, '[') || token_sign(&p->now, '('))
        parse_marks(p, k);
    if (token_is(&p->now, "udp"))
        parse_skip(p, &p->now, "udp packets");
    if (token_is(&p->now, "icmp"))
        parse_icmp(p, k);
    else
        parse_segment(p, k);
    return k;
}
