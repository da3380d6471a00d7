/* iperf.h - the rooms of `tern iperf`, which speaks iperf3's protocol.
 *
 *     iperf.c          options, the report
 *     iperf_client.c   the client's course of a test
 *     iperf_server.c   the server's
 *     iperf_wire.c     what both do: wait, read and write the control connection, move data, JSON
 *
 * A test has one control connection and P data connections. Each begins with a cookie of 37 bytes by which
 * the server knows which belong together. On the control connection go single state bytes, and JSON texts
 * behind a length of 4 bytes:
 *
 *     client                                    server
 *     cookie                            ──▶
 *                                       ◀──     PARAM_EXCHANGE
 *     parameters (JSON)                 ──▶
 *                                       ◀──     CREATE_STREAMS
 *     P connections, a cookie on each   ══▶
 *                                       ◀──     TEST_START, TEST_RUNNING
 *     data, or with -R                  ◀═▶     data
 *     TEST_END                          ──▶
 *                                       ◀──     EXCHANGE_RESULTS
 *     results (JSON)                    ──▶
 *                                       ◀──     results (JSON), DISPLAY_RESULTS
 *     IPERF_DONE                        ──▶
 */
#ifndef CLI_IPERF_H
#define CLI_IPERF_H

#include <jansson.h>

#include "net.h"

enum {
    IPERF_TEST_START = 1,
    IPERF_TEST_RUNNING = 2,
    IPERF_TEST_END = 4,
    IPERF_PARAM_EXCHANGE = 9,
    IPERF_CREATE_STREAMS = 10,
    IPERF_SERVER_TERMINATE = 11,
    IPERF_CLIENT_TERMINATE = 12,
    IPERF_EXCHANGE_RESULTS = 13,
    IPERF_DISPLAY_RESULTS = 14,
    IPERF_DONE = 16,
    IPERF_ACCESS_DENIED = -1,
    IPERF_SERVER_ERROR = -2,
};

enum { IPERF_COOKIE = 37, IPERF_STREAMS = 32, IPERF_BLOCK = 1 << 17, IPERF_JSON_MAX = 1 << 20 };

/* What ended a wait. Negative values are kept apart from TERN_E... by starting at -1000. */
enum { IPERF_STOPPED = -1000, IPERF_LOST = -1001, IPERF_BAD = -1002, IPERF_LATE = -1003 };

typedef struct iperf_stream {
    tern_handle h;
    int id;         /* as iperf3 numbers them: 1, 3, 4, 5, ... */
    uint64_t bytes; /* moved while the test ran */
} iperf_stream;

typedef struct iperf {
    net net;
    net_options options;
    bool server, once, json, reverse; /* reverse: the server sends */
    double seconds;                   /* of the test; 0 = by bytes */
    uint64_t bytes;                   /* of the test; 0 = by time */
    int parallel;
    uint16_t port;
    uint32_t mss;
    tern_endpoint remote;
    tern_handle listener, control;
    char cookie[IPERF_COOKIE];
    iperf_stream streams[IPERF_STREAMS];
    int n_streams;
    bool sending; /* this side sends the data */
    bool running; /* data flows and is counted */
    uint64_t began_us, ended_us;
    uint64_t next_report_us, reported_bytes, reported_us;
    uint64_t retransmits; /* of all streams, at the end */
    json_t *peer;         /* the other side's results; NULL = none came */
    char said[160];       /* what went wrong, in words */
    uint8_t block[IPERF_BLOCK];
} iperf;

/* iperf_wire.c. All return 0, or a negative TERN_E... or IPERF_... */
int iperf_turn(iperf *it, int timeout_ms);
int iperf_read(iperf *it, tern_handle h, void *buf, size_t len, double seconds);
int iperf_write(iperf *it, tern_handle h, const void *data, size_t len);
int iperf_put_state(iperf *it, int8_t state);
int iperf_get_state(iperf *it, double seconds); /* the state (a small number, may be -1 or -2), or an error */
int iperf_expect(iperf *it, int state, double seconds);
int iperf_put_json(iperf *it, json_t *json); /* takes the reference over */
int iperf_get_json(iperf *it, json_t **out);
void iperf_move(iperf *it); /* send or receive on all streams, as much as goes */
json_t *iperf_results(iperf *it);
void iperf_start(iperf *it);
void iperf_stop(iperf *it);
void iperf_close_all(iperf *it); /* streams and control connection */
uint64_t iperf_total(const iperf *it);
const char *iperf_error(const iperf *it, int error);

/* iperf_client.c, iperf_server.c */
int iperf_client_run(iperf *it);
int iperf_server_run(iperf *it);

/* iperf.c */
void iperf_report_begin(const iperf *it);
void iperf_report_interval(iperf *it, uint64_t now);
void iperf_report_end(iperf *it);

#endif
