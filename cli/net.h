/* net.h - what serve, cat and iperf share: options that name tern's device (TUN, or a network card) and
 * addresses, the stack made from them, and a wait for packets, signals and one more descriptor at the same
 * time.
 *
 * Signals are read from a descriptor (signalfd), so no handler and no global is needed.
 */
#ifndef CLI_NET_H
#define CLI_NET_H

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

#include <tern/handover.h>

enum { NET_ADDRS = 16, NET_LINK_IDS = 16 /* ids 1..15 */ };

typedef struct net_addr {
    tern_ip ip;
    int prefix_len;
} net_addr;

typedef struct net_options {
    const char *command; /* "serve": how messages begin */
    const char *name;    /* of the control socket; NULL: the command */
    const char *tun;     /* device; NULL: TERN_TUN of the environment, else tern0 */
    enum net_kind { NET_IS_TUN, NET_IS_PACKET, NET_IS_XDP } kind; /* of the device */
    bool autoconf;       /* IPv6 as routers say */
    bool no_dad;         /* do not ask whether other hosts have the addresses */
    tern_ip gateways[2];
    int n_gateways;
    net_addr addrs[NET_ADDRS];
    int n_addrs; /* 0: TERN_ADDR of the environment, else 192.0.2.1/24 */
    bool plain;  /* no segmentation offload */
    bool impaired_tx, impaired_rx;
    tern_impair_config impair_tx, impair_rx;
    const char *trace; /* file for the trace as JSON lines; NULL: none */
    bool ladder;       /* a ladder of each connection when it is over, on standard output */
    tern_capture_config pcap; /* .file NULL: none */
    uint32_t buffer;   /* send and receive buffer of a connection, bytes; 0 = the stack's default */
    uint32_t page;     /* bytes of a page of the stack's memory; 0 = its default */
    tern_link *queue;  /* one of several of the device (net_queues), instead of opening it; NULL: none */
    bool silent;       /* no advice about the kernel's side: another one gives it */
} net_options;

/* Long options for getopt_long; the values stay clear of characters and of each command's own (up to NET_OPT
 * - 1). */
enum {
    NET_OPT = 512,
    NET_TUN = NET_OPT,
    NET_ADDR,
    NET_PLAIN,
    NET_IMPAIR,
    NET_IMPAIR_TX,
    NET_IMPAIR_RX,
    NET_TRACE,
    NET_LADDER,
    NET_PCAP,
    NET_PCAP_SIZE,
    NET_PCAP_FILES,
    NET_PCAP_SNAP,
    NET_PACKET,
    NET_XDP,
    NET_GATEWAY,
    NET_NO_DAD,
};
#define NET_LONG_OPTIONS                                                                       \
    {"tun", required_argument, NULL, NET_TUN}, {"addr", required_argument, NULL, NET_ADDR},    \
        {"addr6", required_argument, NULL, NET_ADDR}, {"plain", no_argument, NULL, NET_PLAIN}, \
        {"impair", required_argument, NULL, NET_IMPAIR},                                       \
        {"impair-tx", required_argument, NULL, NET_IMPAIR_TX},                                 \
        {"impair-rx", required_argument, NULL, NET_IMPAIR_RX},                                 \
        {"trace", required_argument, NULL, NET_TRACE},                                         \
        {"ladder", no_argument, NULL, NET_LADDER},                                             \
        {"pcap", required_argument, NULL, NET_PCAP},                                           \
        {"pcap-size", required_argument, NULL, NET_PCAP_SIZE},                                 \
        {"pcap-files", required_argument, NULL, NET_PCAP_FILES},                               \
        {"packet", required_argument, NULL, NET_PACKET},                                       \
        {"xdp", required_argument, NULL, NET_XDP},                                             \
        {"gateway", required_argument, NULL, NET_GATEWAY},                                     \
        {"no-dad", no_argument, NULL, NET_NO_DAD},                                             \
    {                                                                                          \
        "pcap-snap", required_argument, NULL, NET_PCAP_SNAP                                    \
    }

/* The lines of --help about them. */
extern const char net_help[];

/* Take one option that getopt_long returned. 0, or CMD_CANNOT after saying why. */
int net_option(net_options *o, int option, const char *value);

typedef struct net {
    tern_host *host;
    tern *stack;
    int signals; /* SIGINT, SIGTERM, SIGHUP arrive here */
    void *trace; /* what --trace and --ladder need (net_trace.c); NULL: neither */
} net;

/* Open `n` queues of the device, for as many calls of net_open. 0, or CMD_CANNOT after saying what to do. */
int net_queues(const net_options *o, int n, tern_link **out);

/* Make the stack: open the device, give it the addresses, block the signals. 0, or CMD_CANNOT after saying
 * what to do. */
int net_open(net *n, const net_options *o);
void net_close(net *n);

/* Instead of net_open: everything comes from the running process of the same name (its number `pid`, when
 * there are several; 0: there is one), addresses and devices too; addresses that `o` names and that are not
 * there yet are added. Nothing is sent or received until net_own. 0, or CMD_CANNOT after saying why: then
 * the other process goes on. */
int net_take_over(net *n, const net_options *o, int pid, tern_luggage *luggage);
int net_own(net *n, const net_options *o);

enum {
    NET_SIGNAL = 1, /* the program shall end */
    NET_FD = 2,     /* the descriptor is ready, or hung up */
    NET_LOST = 4,   /* the device is gone */
};

/* Wait until the stack has something to do, the program shall end, `fd` (-1: none) has `events` (poll's), or
 * timeout_ms passed (-1: for ever); then do the stack's work. Returns a set of NET_.... */
int net_turn(net *n, int fd, short events, int timeout_ms);

/* The same for two descriptors; those that are not -1 get their revents. */
struct pollfd;
int net_turn_fds(net *n, struct pollfd *fds, int n_fds, int timeout_ms);

/* After the last close: wait until the connections are over (or in TIME_WAIT), so that their last segments
 * and the answers to them are not left to nobody; at most so long, and not beyond a signal. */
void net_drain(net *n, int at_most_ms);

/* Whether one of the addresses is of the family of `ip`. */
bool net_has_family(const net_options *o, const tern_ip *ip);

/* Resolve a name or address and a port by the host's resolver: at most `max` endpoints of families that the
 * stack has. Returns the count, or CMD_CANNOT * -1 after saying why. */
int net_resolve(const net_options *o, const char *name, const char *port, tern_endpoint *out, int max);

/* "80" to a port; 0 when it is none. */
uint16_t net_port(const char *text);

/* "192.0.2.1:80", "[2001:db8::1]:80". */
const char *net_endpoint_text(const tern_endpoint *e, char buf[64]);

/* "delay=1ms,loss=2%,reorder=5%,dup=1%" (impair.c). Returns NULL, or what is wrong with it (in `err`). */
const char *impair_parse(const char *spec, tern_impair_config *out, char err[160]);

/* net_trace.c: what --trace and --ladder do with the trace. NULL, or what is wrong (in `err`). */
const char *net_trace_open(net *n, const net_options *o, char err[160]);
void net_trace_close(net *n);

/* net_pcap.c: the capture. 0, or CMD_CANNOT after saying why. */
int net_pcap_option(net_options *o, int option, const char *value);
int net_pcap_open(net *n, const net_options *o);
/* Say, once, that a capture could not go on. */
void net_pcap_look(const net *n);

#endif
