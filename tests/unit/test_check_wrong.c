/* What is no script, and what is one for another stack: every message of the reader, with its line and
 * column, and every reason to skip. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "check/check.h"

struct row {
    const char *text;
    int line, column;
    const char *message; /* a part of it */
};

static bool holds(const struct row *row, enum check_verdict verdict)
{
    static const struct check_options options = {.ladder = CHECK_LADDER_NEVER};
    struct check_result r;
    check_run_buffer(row->text, strlen(row->text), &options, &r);
    bool same = r.verdict == verdict && r.line == row->line &&
                (verdict != CHECK_WRONG || r.column == row->column) && r.message != NULL &&
                strstr(r.message, row->message) != NULL;
    if (!same)
        print_error("this script:\n%s\ngives verdict %d at %d:%d: %s\nand not %d at %d:%d: %s\n", row->text,
                    r.verdict, r.line, r.column, r.message ? r.message : "-", verdict, row->line, row->column,
                    row->message);
    check_result_free(&r);
    return same;
}

static void run_all(const struct row *rows, size_t n, enum check_verdict verdict)
{
    bool all = true;
    for (size_t i = 0; i < n; i++)
        all &= holds(&rows[i], verdict);
    assert_true(all);
}
#define ALL(rows, verdict) run_all(rows, sizeof(rows) / sizeof((rows)[0]), verdict)

static void test_words(void **state)
{
    static const struct row rows[] = {
        {"", 1, 1, "there is no event"},
        {"\n\n// only words\n", 4, 1, "there is no event"},
        {"0 /* this has no end", 1, 3, "this comment has no end"},
        {"0 write(3, \"abc, 3) = 3", 1, 12, "this string has no closing quote"},
        {"0 `sleep 1", 1, 3, "this command has no closing backquote"},
        {"0 %{ assert 1", 1, 3, "this code has no closing }%"},
        {"--define=\"x\n0 close(3) = 0", 1, 1, "has no closing quote"},
        {"0 close(1234567890123456789) = 0", 1, 9, "this number is too large"},
        {"0 close(0x1234567890abcdef1) = 0", 1, 9, "this number is too large"},
        {"1234567890123.5 close(3) = 0", 1, 1, "this number is too large"},
    };
    (void)state;
    ALL(rows, CHECK_WRONG);
}

static void test_events(void **state)
{
    static const struct row rows[] = {
        {"hello close(3) = 0", 1, 1, "a time in seconds must stand here, not 'hello'"},
        {"0", 1, 2, "a packet, a call, %{ code }% or a state must stand here, not the end of the script"},
        {"+.1 ]", 1, 5, "a packet, a call"},
        {"10000001 close(3) = 0", 1, 1, "this time is too large"},
        {"-1 close(3) = 0", 1, 1, "a time must not be negative"},
        {"0\n+-.5 close(3) = 0", 2, 1, "a packet, a call"},
        {"* close(3) = 0", 1, 1, "'*' is for packets that tern sends"},
        {"+0~+.1 < . 1:1(0) ack 1", 1, 1, "a range of times is for packets that tern sends"},
        {"+.2~+.1 > . 1:1(0) ack 1", 1, 4, "the range of times is backwards"},
        {"+.2~.3 > . 1:1(0) ack 1", 1, 5, "'+' is missing before the end of a relative range"},
        {"0 = SLEEPING", 1, 5, "no state is called SLEEPING"},
        {"0 = 40000 8080 LISTEN", 1, 11, "'>' is missing between two ports"},
        {"0 = 70000 > 8080 LISTEN", 1, 5, "a port must be 1 to 65535, not 70000"},
        {"0 = (", 1, 5, "the name of a state must stand here"},
    };
    (void)state;
    ALL(rows, CHECK_WRONG);
}

static void test_calls(void **state)
{
    static const struct row rows[] = {
        {"0 close 3 = 0", 1, 9, "'(' is missing behind the name of the call; there is '3'"},
        {"0 close(3) 0", 1, 12, "'=' is missing behind the call"},
        {"0 close(3 4) = 0", 1, 11, "',' is missing between two values; there is '4'"},
        {"0 close(3", 1, 10, "',' is missing between two values; there is the end of the script"},
        {"0 close(3) =", 1, 13, "a value must stand here, not the end of the script"},
        {"0 close() = 0", 1, 1, "close has too few arguments"},
        {"0 read(3, ..., 10) = -1 EAGAIN (no", 1, 35, "')' is missing behind the note"},
        {"0...x close(3) = 0", 1, 5, "a time in seconds must stand here"},
        {"0...-1 close(3) = 0", 1, 5, "a time must not be negative"},
        {"0...1 3", 1, 7, "the name of a call must stand here, not '3'"},
        {"0 close([[[[[[[[[[[[[[[[[[[[3]]]]]]]]]]]]]]]]]]]]) = 0", 1, 25, "too deep"},
        {"0 socket(..., SOCK_STREAM, IPPROTO_TCP) = \"a\"", 1, 43, "gives a descriptor"},
        {"0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3", 2, 1,
         "the descriptor 3 is in use already"},
        {"0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3, 8080, 16) = 0", 2, 12,
         "an address must stand here"},
        {"0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3, {sa_family = AF_INET}, 16) = 0", 2, 12,
         "this address has no port"},
        {"0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"
         "+0 bind(3, {sa_family = AF_INET, sin_port = htons(80), "
         "sin_addr = inet_addr(\"1.2.3\")}, 16) = 0",
         2, 12, "no IP address that can be read"},
        {"0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3) = 0", 2, 1, "bind has too few arguments"},
        {"0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 listen(3, \"one\") = 0", 2, 14,
         "a number must stand here"},
        {"0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 writev(3, 5, 1) = 0", 2, 1,
         "a list of {..., LENGTH} must stand here"},
        {"0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 writev(3, [5], 1) = 0", 2, 15,
         "{..., LENGTH} must stand here"},
        {"0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"
         "+0 setsockopt(3, SOL_SOCKET, SO_LINGER, {onoff=1}, 8) = 0",
         2, 41, "{onoff=N, linger=N} must stand here"},
        {"0 poll(3, 1, 0) = 0", 1, 1, "poll([{fd=N, events=...}, ...], COUNT, MILLISECONDS)"},
        {"0 poll([{fd=3}], 1, 0) = 0", 1, 9, "{fd=N, events=..., revents=...} must stand here"},
        {"0 epoll_create(1) = 4\n+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"
         "+0 epoll_ctl(4, EPOLL_CTL_ADD, 3, {fd=3}) = 0",
         3, 35, "{events=..., fd=N} must stand here"},
    };
    (void)state;
    ALL(rows, CHECK_WRONG);
}

static void test_segments(void **state)
{
    static const struct row rows[] = {
        {"0 < X 0:0(0)", 1, 5, "'X' is no flag"},
        {"0 < SS 0:0(0)", 1, 5, "the flag S stands there twice"},
        {"0 < ; 0:0(0)", 1, 5, "flags must stand here"},
        {"0 < S", 1, 6, "the sequence number must be a number, not the end of the script"},
        {"0 < S 0", 1, 8, "':' is missing between the sequence numbers"},
        {"0 < S 0:1", 1, 10, "'(' is missing before the length of the payload"},
        {"0 < S 0:70000(70000)", 1, 15, "the length of the payload must be 0 to 65535, not 70000"},
        {"0 < S 0:0(0", 1, 12, "')' is missing behind the length of the payload"},
        {"0 < . 1:1001(999) ack 1", 1, 7, "1:1001(999) does not add up"},
        {"0 < . 1:65501(65500)", 1, 1, "65500 bytes of payload fit into no packet"},
        {"0 < S -1:0(1)", 1, 7, "the sequence number must be 0 to 4294967295, not -1"},
        {"0 < . 1:1(0) ack x", 1, 18, "ack must be a number"},
        {"0 < . 1:1(0) ack 1 win 65536", 1, 24, "win must be 0 to 65535, not 65536"},
        {"0 < . 1:1(0) ack 1 urg 65536", 1, 24, "urg must be 0 to 65535, not 65536"},
        {"0 < 8080 . 1:1(0) ack 1", 1, 10, "'>' is missing between two ports"},
        {"0 < 0 > 8080 . 1:1(0) ack 1", 1, 5, "a port must be 1 to 65535, not 0"},
        {"0 < [ect9] . 1:1(0)", 1, 6, "'ect9' is no mark of the IP header that can stand here"},
        {"0 < [ect01] . 1:1(0)", 1, 6, "'ect01' is no mark of the IP header that can stand here"},
        {"0 > [badcsum] . 1:1(0)", 1, 6, "'badcsum' is no mark of the IP header that can stand here"},
        {"0 < [ect0 . 1:1(0)", 1, 11, "']' is missing behind the marks of the IP header"},
        {"0 < [ttl 256] . 1:1(0)", 1, 10, "ttl must be 0 to 255, not 256"},
        {"0 < S 0:0(0) <>", 1, 15, "the name of a TCP option must stand here"},
        {"0 < S 0:0(0) <...>", 1, 15, "<...> is for packets that tern sends"},
        {"0 < S 0:0(0) <mss>", 1, 18, "mss must be a number"},
        {"0 < S 0:0(0) <mss 70000>", 1, 19, "mss must be 0 to 65535, not 70000"},
        {"0 < S 0:0(0) <mss 1000", 1, 23, "'>' is missing behind the TCP options"},
        {"0 < S 0:0(0) <wscale 256>", 1, 22, "wscale must be 0 to 255"},
        {"0 < S 0:0(0) <TS 1>", 1, 18, "val must stand behind TS"},
        {"0 < S 0:0(0) <TS val 1>", 1, 23, "ecr must stand behind TS val"},
        {"0 < . 1:1(0) ack 1 <sack 1:2 3:4 5:6 7:8 9:10>", 1, 42, "at most 4 SACK blocks"},
        {"0 < . 1:1(0) ack 1 <sack 1>", 1, 27, "':' is missing between the edges of a SACK block"},
        {"0 < S 0:0(0) <raw abc>", 1, 19, "bytes in hexadecimal must stand behind raw"},
        {"0 < S 0:0(0) <raw zz>", 1, 19, "bytes in hexadecimal must stand behind raw"},
        {"0 < . 1:1(0) ack 1 <sack 1:2 3:4 5:6 7:8,TS val 1 ecr 1>", 1, 20,
         "TCP options take at most 40 bytes, not 44"},
    };
    (void)state;
    ALL(rows, CHECK_WRONG);
}

static void test_icmp(void **state)
{
    static const struct row rows[] = {
        {"0 < icmp trouble", 1, 10, "'trouble' is no type of ICMP"},
        {"0 < icmp unreachable nowhere [1:1(0)]", 1, 22, "'nowhere' is no code of ICMP unreachable"},
        {"0 < icmp packet_too_big mtu 1280 [1:1(0)]", 1, 10, "IPv4 has no ICMP packet_too_big"},
        {"--ip_version=ipv6\n0 < icmp unreachable frag_needed mtu 1280 [1:1(0)]", 2, 22,
         "IPv6 has no ICMP frag_needed"},
        {"0 < icmp unreachable frag_needed mtu x [1:1(0)]", 1, 38, "mtu must be a number"},
        {"0 < icmp unreachable net_unreachable [1:1(0)", 1, 45, "']' is missing behind the sequence numbers"},
        {"0 < icmp type_300 [1:1(0)]", 1, 10, "'type_300' is no type of ICMP"},
    };
    (void)state;
    ALL(rows, CHECK_WRONG);
}

static void test_options(void **state)
{
    static const struct row rows[] = {
        {"--ip_version=ipv5\n0 close(3) = 0", 1, 1, "--ip_version is ipv4"},
        {"--local_ip=10.0.0\n0 close(3) = 0", 1, 1, "'10.0.0' is no IPv4 address"},
        {"--ip_version=ipv6\n--remote_ip=10.0.0.1\n0 close(3) = 0", 2, 1, "'10.0.0.1' is no IPv6 address"},
        {"--mtu=many\n0 close(3) = 0", 1, 1, "'many' is not a number from 0 to 65535"},
        {"--mtu=100\n0 close(3) = 0", 1, 1, "tern refuses a link with an MTU of 100 bytes"},
        {"--tolerance_percent=x\n0 close(3) = 0", 1, 1, "'x' is not a number from 0 to 1000"},
        {"--tern=speed=3\n0 close(3) = 0", 1, 1, "'speed=3' names no setting of tern"},
        {"--tern=rto_min_us=x\n0 close(3) = 0", 1, 1, "'x' is not a number"},
        {"--tern=ttl=256\n0 close(3) = 0", 1, 1, "'256' is not a number from 0 to 255"},
        {"--tern=msl_ms=700000\n0 close(3) = 0", 1, 1, "tern refuses this configuration"},
        {"--local_ip=224.0.0.1\n0 close(3) = 0", 1, 1, "tern refuses the address of --local_ip"},
    };
    (void)state;
    ALL(rows, CHECK_WRONG);
}

static void test_code(void **state)
{
    static const struct row rows[] = {
        {"0 %{ assert (1 == 1 }%", 1, 1, "')' is missing"},
        {"0 %{ assert 1 / 0 }%", 1, 1, "a division by zero"},
        {"0 %{ assert 1 % 0 }%", 1, 1, "a division by zero"},
        {"0 %{ assert 1 2 }%", 1, 1, "the expression does not end"},
        {"0 %{ assert ((((((((((((((((((((((((((((((((((((((((((((((((((1)))))))))))))))))"
         "))))))))))))))))))))))))"
         "))))))))) }%",
         1, 1, "too deep"},
    };
    (void)state;
    ALL(rows, CHECK_WRONG);
}

#define SERVER                                                                                      \
    "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3, ..., ...) = 0\n+0 listen(3, 1) = 0\n"  \
    "+0 < S 0:0(0) win 1000 <mss 1000>\n+0 > S. 0:0(0) ack 1 <...>\n+0 < . 1:1(0) ack 1 win 1000\n" \
    "+0 accept(3, ..., ...) = 4\n"

static void test_skipped(void **state)
{
    static const struct row rows[] = {
        {"0 < udp (10)", 1, 0, "udp packets"},
        {"0 < [ect0] udp (10)", 1, 0, "udp packets"},
        {"0 < sctp: INIT", 1, 0, "sctp packets"},
        {"0 < ipv4 1.1.1.1 > 2.2.2.2: S 0:0(0)", 1, 0, "ipv4 packets"},
        {"0 < gre: S 0:0(0)", 1, 0, "gre packets"},
        {"0 < mpls (label 0, tc 0, [S], ttl 0): S 0:0(0)", 1, 0, "mpls packets"},
        {"0 > icmp echo_reply", 1, 0, "ICMP from tern"},
        {"0 < icmp unreachable port_unreachable [udp (10)]", 1, 0, "ICMP about udp"},
        {"0 < S 0:0(0) win 100 <FO 1234abcd>", 1, 0, "the TCP option FO"},
        {"0 < S 0:0(0) win 100 <mp_capable a>", 1, 0, "the TCP option mp_capable"},
        {"0 < S.5 0:0(0) win 100", 1, 0, "the ACE counter of AccECN"},
        {"--wire_client\n0 close(3) = 0", 1, 0, "the option --wire_client"},
        {"`../common/defaults.sh\nsysctl -q net.ipv4.tcp_rmem=4096`\n0 close(3) = 0", 1, 0,
         "the command `sysctl -q net.ipv4.tcp_rmem=4096`"},
        {"`sysctl -w net.ipv4.tcp_ecn=3`\n0 close(3) = 0", 1, 0,
         "the command `sysctl -w net.ipv4.tcp_ecn=3`"},
        {"0 close(3) = -1\n+0 `sysctl -w net.ipv4.tcp_ecn=1`\n+0 shutdown(3, SHUT_WR) = -1", 2, 0,
         "tcp_ecn=1"},
        {"0 close(3) = -1\n+0 `ifconfig lo0 down`\n+0 shutdown(3, SHUT_WR) = -1", 2, 0,
         "`ifconfig lo0 down`"},
        {"0 socket(..., SOCK_DGRAM, IPPROTO_UDP) = 3", 1, 0, "a socket that is not TCP's"},
        {"0 socket(..., SOCK_STREAM, IPPROTO_MPTCP) = 3", 1, 0, "a socket that is not TCP's"},
        {"0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 mmap(3) = 0", 2, 0, "the call mmap"},
        {"0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 listen(3, 1) = 0", 2, 0,
         "a listener whose port the stack chooses"},
        {SERVER "+0 setsockopt(4, SOL_TCP, TCP_FASTOPEN, [1], 4) = 0", 8, 0,
         "the socket option TCP_FASTOPEN"},
        {SERVER "+0 setsockopt(4, SOL_TCP, TCP_CONGESTION, \"cubic\", 5) = 0", 8, 0,
         "congestion control \"cubic\""},
        {SERVER "+0 setsockopt(4, SOL_TCP, TCP_NEW_THING, [1], 4) = 0", 8, 0,
         "TCP_NEW_THING is not known here"},
        {SERVER "+0 getsockopt(4, SOL_SOCKET, SO_MARK, [1], [4]) = 0", 8, 0, "the socket option SO_MARK"},
        {SERVER "+0 setsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=3}, 8) = 0\n+0 close(4) = 0", 9, 0,
         "close that lingers"},
        {SERVER "+0 recv(4, ..., 10, MSG_ERRQUEUE) = 0", 8, 0, "recv with these flags"},
        {SERVER "+0 send(4, ..., 10, MSG_ZEROCOPY) = 10", 8, 0, "send with these flags"},
        {SERVER "+0 sendto(4, ..., 10, MSG_FASTOPEN, ..., ...) = 10", 8, 0, "TCP Fast Open"},
        {SERVER "+0 ioctl(4, 77, [0]) = 0", 8, 0, "this ioctl"},
        {SERVER "+0 fcntl(4, 77, 0) = 0", 8, 0, "this fcntl"},
        {SERVER "+0 shutdown(3, SHUT_RD) = 0", 8, 0, "shutdown of a listener"},
        {SERVER "+0 close(4) = -1 ESTRANGE (strange)", 8, 0, "the error ESTRANGE is not known here"},
        {SERVER "+0 %{ print(tcpi_state) }%", 8, 0, "code that is more than an assertion"},
        {SERVER "+0 %{ assert tcpi_ca_state == TCP_CA_Open }%", 8, 0, "tcpi_ca_state in code"},
        {SERVER "+0 %{ assert tcpi_state == 'x' }%", 8, 0, "code that is more than an assertion"},
    };
    (void)state;
    ALL(rows, CHECK_SKIPPED);
}

/* No text breaks the reader: every beginning of a script is judged. */
static void test_cut_anywhere(void **state)
{
    static const char script[] =
        "--mtu=1500 // c\n/* c */ `sysctl -q net.ipv4.tcp_ecn=0`\n" SERVER
        "+.1~+.2 > [ect0] 8080 > 40001 P. 1:11(10) ack 1 win 5 urg 1 <nop,TS val 1 ecr 2,sack 1:2,raw fd04>\n"
        "+0...1 write(4, \"abc\", 3) = -1 EAGAIN (x y)\n+0 %{ assert (1 | 2) << 3 == 24 }%\n"
        "+0 < icmp unreachable frag_needed mtu 1200 [1:11(10)]\n+0 = 40001 > 8080 ESTABLISHED\n";
    static const struct check_options options = {.ladder = CHECK_LADDER_NEVER};
    (void)state;
    for (size_t n = 0; n < sizeof script - 1; n++) {
        struct check_result r;
        char copy[sizeof script]; /* nothing stands behind it that could be read by mistake */
        memcpy(copy, script, n);
        check_run_buffer(copy, n, &options, &r);
        assert_true(r.verdict == CHECK_PASSED || r.message != NULL);
        check_result_free(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),    cmocka_unit_test(test_events),  cmocka_unit_test(test_calls),
        cmocka_unit_test(test_segments), cmocka_unit_test(test_icmp),    cmocka_unit_test(test_options),
        cmocka_unit_test(test_code),     cmocka_unit_test(test_skipped), cmocka_unit_test(test_cut_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
