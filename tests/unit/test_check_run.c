/* What a script can say, and that a wrong one fails: each feature stands in one that passes and in one that
 * is wrong on purpose, whose failure must say what is wrong, and in which line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "check/check.h"

#define LISTENER \
    "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3, ..., ...) = 0\n+0 listen(3, 5) = 0\n"
#define SERVER                                                                      \
    LISTENER "+0 < S 0:0(0) win 1000 <mss 1000>\n+0 > S. 0:0(0) ack 1 <mss 1460>\n" \
             "+0 < . 1:1(0) ack 1 win 1000\n+0 accept(3, ..., ...) = 4\n" /* 7 lines */

struct row {
    const char *text;
    int line; /* 0: it passes, or fails at its end when there is a message */
    const char *message, *expected, *got;
};

static bool has(const char *text, const char *part)
{
    return part == NULL || (text != NULL && strstr(text, part) != NULL);
}

static bool holds(const struct row *row)
{
    static const struct check_options options = {.ladder = CHECK_LADDER_FAILED};
    struct check_result r;
    check_run_buffer(row->text, strlen(row->text), &options, &r);
    enum check_verdict verdict = row->message ? CHECK_FAILED : CHECK_PASSED;
    bool same = r.verdict == verdict && r.line == row->line && has(r.message, row->message) &&
                has(r.expected, row->expected) && has(r.got, row->got);
    if (!same)
        print_error(
            "this script:\n%s\ngives verdict %d in line %d: %s\n expected %s\n got %s\nand not %d in line "
            "%d: %s\n expected %s\n got %s\n",
            row->text, r.verdict, r.line, r.message ? r.message : "-", r.expected ? r.expected : "-",
            r.got ? r.got : "-", verdict, row->line, row->message ? row->message : "-",
            row->expected ? row->expected : "-", row->got ? row->got : "-");
    check_result_free(&r);
    return same;
}

static void run_all(const struct row *rows, size_t n)
{
    bool all = true;
    for (size_t i = 0; i < n; i++)
        all &= holds(&rows[i]);
    assert_true(all);
}
#define ALL(rows) run_all(rows, sizeof(rows) / sizeof((rows)[0]))

static void test_fields(void **state)
{
    static const struct row rows[] = {
        {.text = LISTENER "+0 < S 0:0(0) win 1000 <mss 1000,sackOK,TS val 5 ecr 0,nop,wscale 3>\n"
                          "+0 > S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,TS val 9 ecr 5,nop,wscale 5>"},
        {.text = LISTENER "+0 < S 0:0(0) win 1000 <mss 1000,sackOK>\n"
                          "+0 > S. 0:0(0) ack 1 <mss 1460,sackOK>"}, /* padding left open */
        {LISTENER "+0 < S 0:0(0) win 1000 <mss 1000,sackOK>\n+0 > S. 0:0(0) ack 1 <mss 1460,nop,sackOK>", 5,
         "options", "<mss 1460,nop,sackOK>", "<mss 1460,nop,nop,sackOK>"},
        {LISTENER "+0 < S 0:0(0) win 1000\n+0 > S. 0:0(0) ack 1 <mss 1459>", 5, "options", "mss 1459",
         "mss 1460"},
        {LISTENER "+0 < S 0:0(0) win 1000\n+0 > S. 0:0(0) ack 1", 5, "options", "ack 1", "<mss 1460>"},
        {LISTENER "+0 < S 0:0(0) win 1000\n+0 > S 0:0(0) ack 1 <...>", 5, "flags", "> S 0:0(0)",
         "> S. 0:0(0)"},
        {LISTENER "+0 < S 0:0(0) win 1000\n+0 > S. 0:0(0) ack 2 <...>", 5, "acknowledgment", "ack 2",
         "ack 1"},
        {LISTENER "+0 < S 0:0(0) win 1000\n+0 > S. 0:0(0) ack 1 win 3 <...>", 5, "window", "win 3",
         "win 65535"},
        {LISTENER "+0 < S 0:0(0) win 1000\n+0 > [ect0] S. 0:0(0) ack 1 <...>", 5, "ECN or TOS", "[ect0]",
         "[noecn]"},
        {LISTENER "+0 < S 0:0(0) win 1000\n+0 > [ttl 63] S. 0:0(0) ack 1 <...>", 5, "TTL", "[ttl 63]",
         "[ttl 64]"},
        {LISTENER "+0 < S 0:0(0) win 1000\n+0 > 8080 > 5 S. 0:0(0) ack 1 <...>", 5, "ports", "8080 > 5",
         "8080 > 40001"},
        {LISTENER
         "+0 < S 0:0(0) win 1000 <mss 1000,TS val 5 ecr 0>\n+0 > S. 0:0(0) ack 1 <mss 1460,TS val 9 ecr 6>",
         5, "options", "ecr 6", "ecr 5"},
        {SERVER "+0 write(4, ..., 10) = 10\n+0 > P. 2:12(10) ack 1", 9, "sequence number", "2:12", "1:11"},
        {SERVER "+0 write(4, ..., 10) = 10\n+0 > P. 1:12(11) ack 1", 9, "length", "1:12(11)", "1:11(10)"},
        {SERVER "+0 write(4, ..., 10) = 10\n+0 > . 1:11(10) ack 1", 9, "flags", "> . 1", "> P. 1"},
        {SERVER "+0 send(4, ..., 10, MSG_OOB) = 10\n+0 > PU. 1:11(10) ack 1 urg 9", 9, "urgent pointer",
         "urg 9", "urg 1"},
        {SERVER "+0 < . 11:21(10) ack 1\n+0 > . 1:1(0) ack 1 <sack 11:21>", 9, "options", "sack", NULL},
    };
    (void)state;
    ALL(rows);
}

static void test_what_is_sent(void **state)
{
    static const struct row rows[] = {
        {LISTENER "+0 < S 0:0(0) win 1000", 0, "tern has sent what the script does not expect",
         "nothing more", "0.000000 > S. 0:0(0) ack 1"},
        {LISTENER "+.5 > S. 0:0(0) ack 1", 4, "tern does not send what it must", "> S. 0:0(0)",
         "nothing until 0.505000"},
        {.text = SERVER "+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1\n* > P. 1:11(10) ack 1"},
        {SERVER "+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1\n+.01 > P. 1:11(10) ack 1", 10,
         "tern does not send what it must", "> P. 1:11(10)", "nothing until"},
        {SERVER "+0 write(4, ..., 10) = 10\n+0 write(4, ..., 10) = 10\n+0 close(3) = 0", 0,
         "tern has sent what the script does not expect", "nothing more", "> P. 1:11(10) ack 1"},
        /* what is given back must end some time; this one is told to try for ever */
        {SERVER "+0 setsockopt(4, IPPROTO_TCP, TCP_USER_TIMEOUT, [0xffffffff], 4) = 0\n"
                "+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1\n+0 close(4) = 0\n+0 > F. 11:11(0) ack 1",
         0, "something is left of the connections", "nothing is left", "1 connections"},
    };
    (void)state;
    ALL(rows);
}

static void test_times(void **state)
{
    static const struct row rows[] = {
        {.text = SERVER "+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1\n+.1~+.5 > P. 1:11(10) ack 1"},
        {SERVER "+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1\n+.4~+.5 > P. 1:11(10) ack 1", 10,
         "the segment is right, but too early", "at 0.400000~0.500000", "at 0."},
        {SERVER "+0 write(4, ..., 10) = 10\n+1 > P. 1:11(10) ack 1", 9, "the segment is right, but too early",
         "at 1.000000", "at 0.000000"},
        {.text = "--tolerance_usecs=1000000\n" SERVER "+0 write(4, ..., 10) = 10\n+1 > P. 1:11(10) ack 1"},
        {.text = "1 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n2.5 close(3) = 0"},
        {"1 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n.5 close(3) = 0", 2, "the time of this event is over",
         "0.500000", "1.000000"},
        {.text = SERVER "+0...1 read(4, ..., 10) = 10\n+1 < P. 1:11(10) ack 1\n+0 > . 1:1(0) ack 11"},
        {SERVER "+0...2 read(4, ..., 10) = 10\n+1 < P. 1:11(10) ack 1\n+0 > . 1:1(0) ack 11\n+1 close(3) = 0",
         8, "read came back too early", "2.000000", "1.000000"},
        {SERVER "+0...1 read(4, ..., 10) = 10", 8, "read does not come back", "1.000000", "it still blocks"},
        {SERVER "+0 read(4, ..., 10) = 10", 8, "read blocks, and the script gives no end time", NULL, NULL},
        {SERVER "+0...1 read(4, ..., 10) = 9\n+1 < P. 1:11(10) ack 1\n+0 > . 1:1(0) ack 11", 8,
         "read gives another result", "9", "10"},
    };
    (void)state;
    ALL(rows);
}

static void test_results(void **state)
{
    static const struct row rows[] = {
        {SERVER "+0 write(4, ..., 10) = 11", 8, "write gives another result", "11", "10"},
        {SERVER "+0 accept(9, ..., ...) = 5", 8, "accept gives another result", "5", "-1 EBADF"},
        {SERVER "+0 fcntl(4, F_SETFL, O_NONBLOCK) = 0\n+0 read(4, ..., 10) = -1 EINTR (x)", 9,
         "read gives another result", "-1 EINTR", "-1 EAGAIN"},
        {SERVER "+0 fcntl(4, F_GETFL) = 0x802 (flags O_RDWR|O_NONBLOCK)", 8, "fcntl gives another result",
         "2050", "2"},
        {.text = SERVER
         "+0 fcntl(4, F_GETFL) = 0x02 (flags O_RDWR)\n+0 fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0\n"
         "+0 read(4, ..., 10) = -1 EAGAIN (Resource temporarily unavailable)\n"
         "+0 read(4, ..., 10) = -1\n+0 read(4, ..., 10) = ..."},
        {SERVER "+0 read(4, ..., 10) = -1", 8, "read blocks", NULL, NULL},
        {.text = SERVER "+0 < R 1:1(0)\n+0 read(4, ..., 10) = -1 ECONNRESET (x)\n+0 read(4, ..., 10) = 0\n"
                        "+0 write(4, ..., 10) = -1 EPIPE (x)"},
        {.text = SERVER "+0 < R 1:1(0)\n+0 getsockopt(4, SOL_SOCKET, SO_ERROR, [ECONNRESET], [4]) = 0\n"
                        "+0 getsockopt(4, SOL_SOCKET, SO_ERROR, [0], [4]) = 0\n+0 read(4, ..., 10) = 0"},
        {SERVER "+0 getsockopt(4, SOL_SOCKET, SO_ERROR, [5], [4]) = 0", 8, "SO_ERROR has another value", "5",
         "0"},
        {.text =
             SERVER "+0 shutdown(4, SHUT_WR) = 0\n+0 > F. 1:1(0) ack 1\n+0 write(4, ..., 5) = -1 EPIPE (x)"},
        {.text = SERVER "+0 bind(4, ..., ...) = -1 EINVAL (x)\n+0 connect(4, ..., ...) = -1 EISCONN (x)\n"
                        "+0 listen(4, 1) = -1 EINVAL (x)\n+0 accept(4, ..., ...) = -1 EINVAL (x)"},
        {.text =
             "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 shutdown(3, SHUT_WR) = -1 ENOTCONN (x)\n"
             "+0 read(3, ..., 1) = -1 ENOTCONN (x)\n+0 write(3, ..., 1) = -1 EPIPE (x)\n"
             "+0 bind(3, {sa_family = AF_INET, sin_port = htons(80), sin_addr = "
             "inet_addr(\"1.2.3.4\")}, 16) = -1 "
             "EADDRNOTAVAIL (x)\n"
             "+0 bind(3, {sa_family = AF_UNIX, sin_port = htons(80), sin_addr = "
             "inet_addr(\"1.2.3.4\")}, 16) = -1 "
             "EAFNOSUPPORT (x)"},
        {.text = LISTENER
         "+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 4\n+0 bind(4, ..., ...) = -1 EADDRINUSE (x)"},
    };
    (void)state;
    ALL(rows);
}

static void test_connect(void **state)
{
#define CONNECT                                                                           \
    "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 fcntl(3, F_SETFL, O_NONBLOCK) = 0\n" \
    "+0 connect(3, ..., ...) = -1 EINPROGRESS (x)\n+0 > S 0:0(0) <mss 1460,sackOK,TS val 1 ecr 0,wscale 5>\n"
    static const struct row rows[] = {
        {.text = CONNECT
         "+0 connect(3, ..., ...) = -1 EALREADY (x)\n+0 < S. 0:0(0) ack 1 win 9 <mss 100>\n"
         "+0 > . 1:1(0) ack 1\n+0 connect(3, ..., ...) = 0\n+0 connect(3, ..., ...) = -1 EISCONN (x)"},
        {.text = CONNECT "+0 < R. 0:0(0) ack 1\n+0 connect(3, ..., ...) = -1 ECONNREFUSED (x)"},
        {.text =
             CONNECT "+0 < R. 0:0(0) ack 1\n+0 getsockopt(3, SOL_SOCKET, SO_ERROR, [ECONNREFUSED], [4]) = 0"},
        {.text =
             "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"
             "+0....5 connect(3, ..., ...) = -1 ECONNREFUSED (x)\n"
             "+0 > S 0:0(0) <...>\n+.5 < R. 0:0(0) ack 1"},
        {.text =
             "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"
             "+0....5 connect(3, {sa_family = AF_INET, sin_port = htons(99), sin_addr = "
             "inet_addr(\"192.0.2.7\")}, "
             "16) = 0\n"
             "+0 > 5000 > 99 S 0:0(0) <...>\n+.5 < 99 > 5000 S. 7:7(0) ack 1 win 5 <mss 100>\n"
             "+0 > 5000 > 99 . 1:1(0) ack 1"},
        {.text = CONNECT "+0 < S 5:5(0) win 100 <mss 100>\n+0 > S. 0:0(0) ack 6 <...>\n+0 = SYN_RCVD\n"
                         "+0 < S. 5:5(0) ack 1 win 100\n+0 > . 1:1(0) ack 1\n+0 = ESTABLISHED"},
    };
    (void)state;
    ALL(rows);
}

static void test_bytes(void **state)
{
    static const struct row rows[] = {
        {.text = SERVER "+0 write(4, \"ab\" \"cd\", 4) = 4\n+0 > P. 1:5(4) ack 1\n"
                        "+0 writev(4, [{..., 3}, {..., 5}], 2) = 8\n"
                        "+0 sendmsg(4, {msg_name(...)=..., msg_iov(1)=[{..., 7}], msg_flags=0}, 0) = 7\n"
                        "+0 < . 1:1(0) ack 5\n+0 > P. 5:20(15) ack 1"},
        {.text = SERVER "+0 < P. 1:11(10) ack 1\n+0 > . 1:1(0) ack 11\n+0 recv(4, ..., 4, MSG_PEEK) = 4\n"
                        "+0 ioctl(4, SIOCINQ, [10]) = 0\n+0 readv(4, [{..., 1}, {..., 2}], 2) = 3\n"
                        "+0 recvfrom(4, ..., 4, 0, ..., ...) = 4\n"
                        "+0 recvmsg(4, {msg_name(...)=..., msg_iov(1)=[{..., 100}], msg_flags=0}, 0) = 3"},
        {SERVER "+0 ioctl(4, SIOCINQ, [10]) = 0", 8, "the count of bytes to read has another value", "10",
         "0"},
        {.text = SERVER "+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1\n+0 ioctl(4, SIOCOUTQ, [10]) = 0\n"
                        "+0 ioctl(4, SIOCOUTQNSD, [0]) = 0"},
        {.text = "--mtu=600\n" LISTENER "+0 < S 0:0(0) win 5000 <mss 5000>\n+0 > S. 0:0(0) ack 1 <mss 560>\n"
                 "+0 < . 1:1(0) ack 1\n+0 accept(3, ..., ...) = 4\n+0 write(4, ..., 2000) = 2000\n"
                 "+0 > P. 1:2001(2000) ack 1"},
        {"--mtu=600\n--strict_segments\n" LISTENER "+0 < S 0:0(0) win 5000 <mss 5000>\n"
         "+0 > S. 0:0(0) ack 1 <mss 560>\n+0 < . 1:1(0) ack 1\n+0 accept(3, ..., ...) = 4\n"
         "+0 write(4, ..., 2000) = 2000\n+0 > P. 1:2001(2000) ack 1",
         11, "length", "1:2001(2000)", "1:561(560)"},
    };
    (void)state;
    ALL(rows);
}

static void test_peer(void **state)
{
    static const struct row rows[] = {
        {.text = "0 < . 17:20(3) ack 34 win 100\n+0 > R 34:34(0)"}, /* nobody is there */
        {.text = "0 < S 17:17(0) win 100\n+0 > R. 0:0(0) ack 1"},
        {.text = LISTENER "+0 < [badcsum] S 0:0(0) win 100\n+1 = LISTEN"},
        {LISTENER "+0 < S 0:0(0) win 100\n+0 > S. 0:0(0) ack 1 <...>\n+1 = LISTEN", 6,
         "the connection is in another state", "LISTEN", "SYN_RCVD"},
        {.text = LISTENER "+0 < 50001 > 8080 S 0:0(0) win 100\n+0 > 8080 > 50001 S. 0:0(0) ack 1 <...>\n"
                          "+0 < 50002 > 8080 S 0:0(0) win 100\n+0 > 8080 > 50002 S. 0:0(0) ack 1 <...>\n"
                          "+0 < 50001 > 8080 . 1:1(0) ack 1\n+0 = 50001 > 8080 ESTABLISHED\n"
                          "+0 = 50002 > 8080 SYN_RCVD\n+0 = 50003 > 8080 LISTEN\n+0 = 50001 > 9 CLOSED"},
        {.text = LISTENER "+0 < S 4294967290:4294967290(0) win 100\n+0 > S. 0:0(0) ack 4294967291 <...>\n"
                          "+0 < . 1:1(0) ack 1\n+0 < . 1:11(10) ack 1\n+0 > . 1:1(0) ack 11"},
        {.text = "--tern=iss=4294967290\n" LISTENER
                 "+0 < S 0:0(0) win 100\n+0 > S. 4294967290:4294967290(0) ack 1 <...>\n"
                 "+0 < . 1:1(0) ack 1\n+0 accept(3, ..., ...) = 4\n+0 %{ assert tern_iss == 4294967290 }%\n"
                 "+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1"},
        {.text = "--tern=irs=4294967290\n" LISTENER "+0 < S 2:2(0) win 100\n+0 > S. 0:0(0) ack 3 <...>\n"
                 "+0 < . 1:11(10) ack 1\n+0 > . 1:1(0) ack 11\n+0 accept(3, ..., ...) = 4\n"
                 "+0 %{ assert tern_irs == 4294967292 }%"},
        {.text = LISTENER "+0 < [ce] SEW 0:0(0) win 100 <raw fd040102,mss 900,raw 0206>\n+0 = LISTEN"},
        {.text = SERVER "+0 write(4, ..., 1000) = 1000\n+0 > P. 1:1001(1000) ack 1\n"
                        "+0 < icmp unreachable frag_needed mtu 600 [1:1001(1000)]\n"
                        "+0 > . 1:561(560) ack 1\n+0 > P. 561:1001(440) ack 1"},
        {.text =
             "--ip_version=ipv6\n0 socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3, ..., ...) = 0\n"
             "+0 listen(3, 1) = 0\n+0 < S 0:0(0) win 100\n+0 > S. 0:0(0) ack 1 <mss 1440>"},
        {.text = LISTENER
         "+0 < S 0:0(0) win 1000 <mss 1000,TS val 5 ecr 0>\n+0 > S. 0:0(0) ack 1 <mss 1460,TS val 100 "
         "ecr 5>\n+.1 < . 1:11(10) ack 1 win 1000 <nop,nop,TS val 6 ecr 100>\n"
         "+0 > . 1:1(0) ack 11 <nop,nop,TS val 777 ecr 6>"},
        {"--tcp_ts_tick_usecs=1000\n" LISTENER "+0 < S 0:0(0) win 1000 <mss 1000,TS val 5 ecr 0>\n"
         "+0 > S. 0:0(0) ack 1 <mss 1460,TS val 100 ecr 5>\n"
         "+.1 < . 1:11(10) ack 1 win 1000 <nop,nop,TS val 6 ecr 100>\n"
         "+0 > . 1:1(0) ack 11 <nop,nop,TS val 777 ecr 6>",
         8, "options", "TS val 777", "TS val 200"},
        {.text = "--tcp_ts_tick_usecs=10000\n" LISTENER "+0 < S 0:0(0) win 1000 <mss 1000,TS val 5 ecr 0>\n"
                 "+0 > S. 0:0(0) ack 1 <mss 1460,TS val 100 ecr 5>\n"
                 "+.5 < . 1:11(10) ack 1 win 1000 <nop,nop,TS val 6 ecr 100>\n"
                 "+0 > . 1:1(0) ack 11 <nop,nop,TS val 150 ecr 6>"},
        {SERVER "+0 < . 1:1(0) ack 1 <TS val 6 ecr 100>", 8, "tern has sent no TS val", NULL, NULL},
    };
    (void)state;
    ALL(rows);
}

static void test_socket_options(void **state)
{
    static const struct row rows[] = {
        {.text =
             "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"
             "+0 setsockopt(3, IPPROTO_TCP, TCP_MAXSEG, [700], 4) = 0\n"
             "+0 bind(3, ..., ...) = 0\n+0 listen(3, 1) = 0\n+0 < S 0:0(0) win 100\n"
             "+0 > S. 0:0(0) ack 1 <mss 700>"},
        {.text =
             SERVER "+0 setsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, 8) = 0\n+0 close(4) = 0\n"
                    "+0 > R 1:1(0)"},
        {.text = SERVER "+0 setsockopt(4, IPPROTO_TCP, TCP_KEEPIDLE, [60], 4) = 0\n"
                        "+0 getsockopt(4, IPPROTO_TCP, TCP_KEEPIDLE, [60], [4]) = 0\n"
                        "+0 setsockopt(4, SOL_SOCKET, SO_KEEPALIVE, [1], 4) = 0\n+60 > . 0:0(0) ack 1"},
        {.text = SERVER "+0 getsockopt(4, SOL_TCP, TCP_INFO, {tcpi_state=TCP_ESTABLISHED, tcpi_unacked=0}, "
                        "[9]) = 0"},
        {SERVER "+0 getsockopt(4, SOL_TCP, TCP_INFO, {tcpi_state=TCP_CLOSE}, [9]) = 0", 8,
         "tcpi_state has another value", "7", "1"},
        {SERVER "+0 getsockopt(4, IPPROTO_TCP, TCP_KEEPIDLE, [60], [4]) = 0", 8,
         "TCP_KEEPIDLE has another value", "60", "7200"},
        {.text = SERVER
         "+0 setsockopt(4, IPPROTO_IP, IP_TOS, [0x28], 4) = 0\n+0 setsockopt(4, SOL_IP, IP_TTL, [9], 4) = "
         "0\n+0 write(4, ..., 5) = 5\n+0 > [tos 0x28] P. 1:6(5) ack 1"},
        {.text =
             "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3, ..., ...) = 0\n+0 listen(3, 1) = 0\n"
             "+0 setsockopt(3, SOL_TERN, TERN_OPT_COOKIES, [TERN_COOKIES_ALWAYS], 4) = 0\n"
             "+0 < S 0:0(0) win 100\n"
             "+0 > S. 0:0(0) ack 1 <...>\n+0 = LISTEN\n+0 < . 1:1(0) ack 1\n+0 = ESTABLISHED"},
        {.text = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"
                 "+0 getsockopt(3, SOL_SOCKET, SO_TYPE, [SOCK_STREAM], [4]) = 0\n"
                 "+0 getsockopt(3, SOL_SOCKET, SO_ACCEPTCONN, [0], [4]) = 0\n"
                 "+0 setsockopt(3, SOL_SOCKET, SO_RCVBUF, [5000], 4) = 0\n"
                 "+0 getsockopt(3, SOL_SOCKET, SO_RCVBUF, [5000], [4]) = 0\n"
                 "+0 setsockopt(3, SOL_SOCKET, SO_RCVLOWAT, [7], 4) = 0\n"
                 "+0 getsockopt(3, SOL_SOCKET, SO_RCVLOWAT, [7], [4]) = 0\n"
                 "+0 setsockopt(3, SOL_SOCKET, SO_OOBINLINE, [0], 4) = -1 EINVAL (x)\n"
                 "+0 setsockopt(3, IPPROTO_TCP, TCP_CONGESTION, \"reno\", 4) = 0"},
    };
    (void)state;
    ALL(rows);
}

static void test_waiting(void **state)
{
    static const struct row rows[] = {
        {.text = SERVER
         "+0 poll([{fd=4, events=POLLIN|POLLOUT, revents=POLLOUT}, {fd=9, events=POLLIN, revents=POLLNVAL}"
         "], 2, 0) = 2\n"
         "+0...0.5 poll([{fd=4, events=POLLIN, revents=0}], 1, 500) = 0\n"
         "+1...1.2 poll([{fd=4, events=POLLIN, revents=POLLIN}], 1, 500) = 1\n"
         "+.2 < P. 1:11(10) ack 1\n+0~+.1 > . 1:1(0) ack 11"},
        {SERVER "+0 poll([{fd=4, events=POLLIN|POLLOUT, revents=POLLIN}], 1, 0) = 1", 8,
         "poll reports other events", "0x1", "0x4"},
        {SERVER "+0 poll([{fd=4, events=POLLOUT}], 1, 0) = 0", 8, "poll gives another result", "0", "1"},
        {.text = SERVER "+0 < F. 1:1(0) ack 1\n+0 > . 1:1(0) ack 2\n"
                        "+0 poll([{fd=4, events=POLLIN|POLLRDHUP, revents=POLLIN|POLLRDHUP}], 1, 0) = 1\n"
                        "+0 < R 2:2(0)\n"
                        "+0 poll([{fd=4, events=0, revents=POLLERR|POLLHUP}], 1, 0) = 1"},
        {.text = LISTENER
         "+0 epoll_create(1) = 9\n+0 epoll_ctl(9, EPOLL_CTL_ADD, 3, {events=EPOLLIN, fd=3}) = 0\n"
         "+0 epoll_ctl(9, EPOLL_CTL_ADD, 3, {events=EPOLLIN, fd=3}) = -1 EEXIST (x)\n"
         "+0 epoll_wait(9, {events=0, ptr=0}, 1, 0) = 0\n"
         "+0...1 epoll_wait(9, {events=EPOLLIN, fd=3}, 1, -1) = 1\n"
         "+.5 < S 0:0(0) win 100\n+0 > S. 0:0(0) ack 1 <...>\n+.5 < . 1:1(0) ack 1\n"
         "+0 epoll_ctl(9, EPOLL_CTL_DEL, 3, ...) = 0\n"
         "+0 epoll_ctl(9, EPOLL_CTL_MOD, 3, {events=EPOLLIN, fd=3}) = -1 ENOENT (x)\n+0 close(9) = 0"},
        {.text = SERVER
         "+0 epoll_create(1) = 9\n+0 epoll_ctl(9, EPOLL_CTL_ADD, 4, {events=EPOLLIN|EPOLLET, u64=7}) = 0\n"
         "+0 < P. 1:11(10) ack 1\n+0 > . 1:1(0) ack 11\n"
         "+0 epoll_wait(9, [{events=EPOLLIN, u64=7}], 8, 0) = 1\n+0 epoll_wait(9, ..., 8, 0) = 0\n"
         "+0 < P. 11:21(10) ack 1\n+0~+.1 > . 1:1(0) ack 21\n+0 epoll_wait(9, ..., 8, 0) = 1\n"
         "+0 epoll_ctl(9, EPOLL_CTL_MOD, 4, {events=EPOLLIN|EPOLLONESHOT, u64=8}) = 0\n"
         "+0 epoll_wait(9, {events=EPOLLIN, u64=8}, 8, 0) = 1\n+0 epoll_wait(9, ..., 8, 0) = 0"},
        {SERVER "+0 epoll_create(1) = 9\n+0 epoll_ctl(9, EPOLL_CTL_ADD, 4, {events=EPOLLOUT, u64=7}) = 0\n"
                "+0 epoll_wait(9, {events=EPOLLOUT, u64=8}, 8, 0) = 1",
         10, "epoll_wait reports another descriptor", "8", "7"},
        {SERVER "+0 epoll_create(1) = 9\n+0 epoll_ctl(9, EPOLL_CTL_ADD, 4, {events=EPOLLOUT, u64=7}) = 0\n"
                "+0 epoll_wait(9, {events=EPOLLIN, u64=7}, 8, 0) = 1",
         10, "epoll_wait reports other events", "0x1", "0x4"},
    };
    (void)state;
    ALL(rows);
}

static void test_code(void **state)
{
    static const struct row rows[] = {
        {.text = SERVER
         "+0 %{ assert tcpi_state == TCP_ESTABLISHED, \"why\"\n# words\n"
         "assert 1 < 2 <= 2 and not 3 > 4 or False\nassert (tern_mss == 1000 and\n 7 // 2 == 3); assert "
         "0x10 | 3 == 19 & 31; assert -3 + 5 * 2 - 1 % 1 == 7; assert 1 << 4 >> 2 == 4; assert True }%"},
        {SERVER "+0 %{ assert tcpi_state == TCP_CLOSE or tern_mss > 1000 }%", 8,
         "the assertion does not hold", "tcpi_state == TCP_CLOSE or tern_mss > 1000",
         "tcpi_state is 1, tern_mss is 1000"},
        {SERVER "+0 %{ assert tcpi_state == 1 and tcpi_snd_cwnd == 3 }%", 8, "the assertion does not hold",
         NULL, "tcpi_snd_cwnd is 10"},
        {.text = LISTENER "+0 %{ assert tcpi_state == TCP_LISTEN }%\n+0 < S 0:0(0) win 100\n"
                          "+0 > S. 0:0(0) ack 1 <...>\n+0 %{ assert tcpi_state == TCP_LISTEN }%"},
        {.text = SERVER
         "+0 close(4) = 0\n+0 > F. 1:1(0) ack 1\n+0 %{ assert tcpi_state == TCP_FIN_WAIT1 and "
         "tcpi_unacked == 1 }%\n+0 < R 1:1(0)\n+0 close(3) = 0\n+0 %{ assert tcpi_state == TCP_CLOSE }%"},
        {.text =
             LISTENER "+0 < SEW 0:0(0) win 1000 <mss 1000,sackOK,wscale 3>\n+0 > SE. 0:0(0) ack 1 <...>\n"
                      "+0 < . 1:1(0) ack 1\n+0 %{ assert tcpi_options == (TCPI_OPT_SACK | TCPI_OPT_WSCALE | "
                      "TCPI_OPT_ECN) and tcpi_snd_wscale == 3 and tcpi_rcv_wscale == 5 }%"},
    };
    (void)state;
    ALL(rows);
}

static void test_settings(void **state)
{
    static const struct row rows[] = {
        {.text = "--define=SIZE=10\n--define=WHAT=\"0123456789\"\n--define=OF=IPPROTO_TCP\n"
                 "0 socket(..., SOCK_STREAM, OF) = 3\n+0 bind(3, ..., ...) = 0\n+0 listen(3, SIZE) = 0\n"
                 "+0 < S 0:0(0) win 1000\n+0 > S. 0:0(0) ack 1 <...>\n+0 < . 1:1(0) ack 1\n"
                 "+0 accept(3, ..., ...) = 4\n+0 write(4, WHAT, SIZE) = SIZE\n+0 > P. 1:11(10) ack 1"},
        {.text = "--mss=1000\n" SERVER "+0 < . 1:3001(3000) ack 1\n+0 > . 1:1(0) ack 3001\n"
                 "+0 read(4, ..., 5000) = 3000"},
        {.text = "--tern=no_sack=1\n--tern=no_wscale=1\n--tern=no_timestamps=1\n--tern=ecn=on\n"
                 "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 fcntl(3, F_SETFL, O_NONBLOCK) = 0\n"
                 "+0 connect(3, ..., ...) = -1 EINPROGRESS (x)\n+0 > SEW 0:0(0) <mss 1460>"},
        {.text = "`sysctl -q net.ipv4.tcp_ecn=1 \\\n net.ipv4.tcp_sack=0 # why\n./set_sysctls.py "
                 "/proc/sys/net/ipv4/tcp_timestamps=0`\n"
                 "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 fcntl(3, F_SETFL, O_NONBLOCK) = 0\n"
                 "+0 connect(3, ..., ...) = -1 EINPROGRESS (x)\n+0 > SEW 0:0(0) <mss 1460,wscale 5>\n"
                 "`/tmp/sysctl_restore_1.sh`"},
        {.text =
             "--local_ip=10.1.2.3\n--remote_ip=10.9.9.9/8\n--bind_port=7\n--connect_port=9\n--verbose\n"
             "" LISTENER
             "+0 < 5 > 7 S 0:0(0) win 100\n+0 > 7 > 5 S. 0:0(0) ack 1 <...>\n"
             "+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 4\n+0 fcntl(4, F_SETFL, O_NONBLOCK) = 0\n"
             "+0 connect(4, ..., ...) = -1 EINPROGRESS (x)\n+0 > 6 > 9 S 0:0(0) <...>"},
    };
    (void)state;
    ALL(rows);
}

/* The same text gives the same, to the last character, and the ladder is there when it is asked for. */
static void test_result(void **state)
{
    static const struct check_options options = {.ladder = CHECK_LADDER_ALWAYS};
    static const char text[] = SERVER "+.1 = CLOSE_WAIT";
    struct check_result a, b;
    (void)state;
    check_run_buffer(text, sizeof text - 1, &options, &a);
    check_run_buffer(text, sizeof text - 1, &options, &b);
    assert_int_equal(a.verdict, CHECK_FAILED);
    assert_string_equal(a.script_line, "+.1 = CLOSE_WAIT");
    assert_non_null(strstr(a.ladder, "ESTABLISHED"));
    assert_string_equal(a.ladder, b.ladder);
    assert_int_equal(a.events, 7);
    assert_int_equal(a.sent, 1);
    assert_int_equal(a.received, 2);
    assert_int_equal(a.virtual_us, 100000);
    check_result_free(&a);
    check_result_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),  cmocka_unit_test(test_what_is_sent),   cmocka_unit_test(test_times),
        cmocka_unit_test(test_results), cmocka_unit_test(test_connect),        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_peer),    cmocka_unit_test(test_socket_options), cmocka_unit_test(test_waiting),
        cmocka_unit_test(test_code),    cmocka_unit_test(test_settings),       cmocka_unit_test(test_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
