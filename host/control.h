/* control.h - asking running tern processes about their connections: the client's side of the control socket.
 *
 * Every tern_host with a name listens on a Unix socket, one file per host, in the first of these that can be
 * had: $XDG_RUNTIME_DIR/tern, /run/tern (root), /tmp/tern-UID. A file, since abstract names end at the
 * network namespace, in which tern often has one of its own. The file's name is PID-NAME.sock.
 *
 * A question is one line, the answer one JSON object, then the socket is closed:
 *
 * "ss"     {"pid":1, "name":"serve", "version":"0.1.0", "now_us":T, "connections":[INFO, ...]}
 *          INFO: every listener, connection, half-open and TIME_WAIT record (tern_walk). The fields have the
 *          names of tern_info (stats.h), numbers as numbers; times ("..._us") are of the same clock as
 *          now_us. Besides:
 *              "local":"192.0.2.1", "local_port":80, "remote":..., "remote_port":..., "zone":0
 *              "state":"ESTABLISHED", "timer":"none" | "retransmit" | "persist" | "delayed ack" | ...
 *              "cause":"SYN_ACKED", "rule":"RFC 9293 3.10.7.4 fifth", "text":"the ACK of our SYN arrived:
 *              ..." "error":-104, "error_text":"Connection reset by peer" (0 and "" when none); likewise
 *              "soft_error" "history":[{"from":"SYN_RCVD", "to":"ESTABLISHED", "t_us":..., "cause", "rule",
 *              "text"}, ...] newest first
 * "live"   the same without those TIME_WAIT records that no program holds, however many, and behind the list
 *          "time_wait":N, how many they are
 * "ports"  {"pid", "name", "version", "now_us", "port_low":32768, "port_high":60999, "remotes":N,
 *          "ports":[{"local":"192.0.2.1", "remote":"192.0.2.2", "remote_port":80, "zone":0, "used":30,
 *          "free":28202, "states":{"TIME_WAIT":28, "ESTABLISHED":2}}, ...]}: the 20 remotes that hold most of
 *          the ephemeral ports by connections of ours, of N remotes in all
 * "stats"  {"pid", "name", "version", "now_us", "stats":{counters of counters.def}, "dropped":{CAUSE: n,
 * ...},
 *          "live":{fields of tern_live}, "host":{"tx_refused", "trace_lost", "memory_budget"},
 *          "links":[{"id", "name", "mtu", "gso_max", "tx_csum", "gone"}]}
 * "metrics" the counters and gauges as text for Prometheus (metrics.h), not JSON
 * "net"    {"links":[{"id", "name", "up", "mtu", "gso_max", "tx_csum", "gone", "ethernet"}],
 *          "addresses":[{"address", "prefix_len", "link", "link_name", "deprecated", "state":"usable" |
 *          "tentative" | "duplicate", "learned", "valid_s", "preferred_s"}], "routes":[{"dst", "prefix_len",
 *          "link", "link_name", "by_address", "via", "learned", "valid_s"}], "neighbours":[{"address",
 *          "ethernet", "link", "link_name", "state":"REACHABLE" | ..., "for_ms", "router", "probes",
 *          "waiting"}]}; seconds -1 = for ever, "ethernet" and "via" "" = none
 * "addr add CIDR [LINK]", "addr remove|deprecate|prefer IP [LINK]", "route add|remove|replace CIDR [LINK]",
 * "route via CIDR GATEWAY [LINK]", "neigh flush [IP|all] [LINK]", "link up|down LINK", "link mtu LINK BYTES"
 *          {"ok":true} or {"error":"..."}; LINK is an id or a device's name
 * other    {"error":"..."}
 *
 * The same over HTTP, for monitoring systems and curl --unix-socket: GET /metrics, GET /stats, GET /ss.
 */
#ifndef HOST_CONTROL_H
#define HOST_CONTROL_H

#include <jansson.h>

struct tern_control_peer {
    int pid;        /* as seen from here; the one in the file's name where the kernel does not say */
    char name[40];  /* tern_host_config.name; "NAME-2" for the second of that name in its process */
    char path[108]; /* of the socket */
};

/* The tern processes that run now, sorted by pid and name, at most `max`. Sockets that dead processes left
 * are removed. Returns the count. */
int tern_control_list(struct tern_control_peer *out, int max);

/* Ask one for text ("metrics"). 0 and the answer (to be freed), or as tern_control_ask. */
int tern_control_text(const struct tern_control_peer *peer, const char *cmd, char **out);

/* Ask one ("ss", "stats", "net", ...). 0 and the answer (to be released with json_decref), or -errno:
 * -ECONNREFUSED, -ENOENT (gone), -ETIMEDOUT (it does not answer within 3 s: stopped?), -EPROTO (not JSON). */
int tern_control_ask(const struct tern_control_peer *peer, const char *cmd, json_t **out);

#endif
