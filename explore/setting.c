/* setting.c - see setting.h. Times are short where that changes nothing but the number of repetitions: a try
 * that is repeated twice shows what one repeated ten times does. */
#include "setting.h"

#include <stdio.h>
#include <string.h>

/* Two repetitions of everything, no timestamps (a setting of its own has them). */
#define BRIEF .syn_retries_ms = 2500, .retries_ms = 500, .synack_retries = 2, .no_timestamps = 1

/* B listens from the beginning, A connects. */
#define CALLER_AND_LISTENER {{.connects = 1}, {.listening = true}}

static const struct setting all[] = {
    {
        .name = "listening",
        .title = "B listens, A connects; both close",
        .adds = "the three steps, every way of closing, whatever is lost, doubled or overtaken",
        .bounds = {.losses = 1, .dups = 1},
        .role = CALLER_AND_LISTENER,
        .config = {BRIEF},
    },
    {
        .name = "crossing",
        .title = "both connect to each other; both close",
        .adds = "simultaneous open",
        .bounds = {.losses = 1, .dups = 1},
        .role = {{.connects = 1}, {.connects = 1}},
        .config = {BRIEF},
    },
    {
        .name = "meeting",
        .title = "both connect to each other; both close, and neither shuts down before",
        .adds = "simultaneous open and close, small enough to be complete with faults",
        .bounds = {.losses = 1, .dups = 1},
        .role = {{.connects = 1}, {.connects = 1}},
        .flags = SET_NO_SHUTDOWN,
        .config = {BRIEF},
    },
    {
        .name = "closed",
        .title = "both are closed: B may come to listen, before A's SYN or after it",
        .adds = "refused connections",
        .bounds = {.losses = 1},
        .role = {{.connects = 1}, {.listens = 1}},
        .config = {BRIEF},
    },
    {
        .name = "data",
        .title = "as listening, and A and B send",
        .adds = "data in every order, lost and repeated",
        .bounds = {.bytes = 1},
        .role = CALLER_AND_LISTENER,
        .config = {BRIEF},
    },
    {
        .name = "aborts",
        .title = "as listening, and programs abort",
        .adds = "resets of either side in every state",
        .bounds = {.bytes = 1, .aborts = 1},
        .role = CALLER_AND_LISTENER,
        .flags = SET_NO_UNLISTEN,
        .config = {BRIEF},
    },
    {
        .name = "slow",
        .title = "as listening, and timers fire though the answer is under way",
        .adds = "needless repetition, a network slower than the timeout",
        .bounds = {.losses = 1, .early = 1},
        .role = CALLER_AND_LISTENER,
        .config = {BRIEF},
    },
    {
        .name = "cut",
        .title = "as listening, and the wire is cut for good",
        .adds = "retransmissions used up",
        .bounds = {.bytes = 1, .cuts = 1},
        .role = CALLER_AND_LISTENER,
        .flags = SET_NO_UNLISTEN,
        .config = {BRIEF},
    },
    {
        .name = "crossing-cut",
        .title = "as crossing, and the wire is cut for good",
        .adds = "retransmissions used up in the states of a simultaneous open and close",
        .bounds = {.cuts = 1, .aborts = 1},
        .role = {{.connects = 1}, {.connects = 1}},
        .config = {BRIEF},
    },
    {
        .name = "timeout",
        .title = "as crossing-cut, with a user timeout",
        .adds = "user timeouts of SYN and FIN",
        .bounds = {.cuts = 1},
        .role = {{.connects = 1}, {.connects = 1}},
        .flags = SET_TIMEOUT,
        .config = {BRIEF},
    },
    {
        .name = "timeout-data",
        .title = "as cut, with a user timeout",
        .adds = "user timeouts of data",
        .bounds = {.bytes = 1, .cuts = 1},
        .role = CALLER_AND_LISTENER,
        .flags = SET_TIMEOUT | SET_NO_UNLISTEN,
        .config = {BRIEF},
    },
    {
        .name = "keepalive",
        .title = "as cut, with keepalive",
        .adds = "peers found dead",
        .bounds = {.cuts = 1},
        .role = CALLER_AND_LISTENER,
        .flags = SET_KEEPALIVE,
        .config = {BRIEF},
    },
    {
        .name = "linger",
        .title = "as listening, and close resets (linger 0)",
        .adds = "close as a reset",
        .bounds = {.losses = 1},
        .role = CALLER_AND_LISTENER,
        .flags = SET_LINGER,
        .config = {BRIEF},
    },
    {
        .name = "crossing-linger",
        .title = "as crossing, and close resets (linger 0)",
        .adds = "close as a reset before the connection is open",
        .role = {{.connects = 1}, {.connects = 1}},
        .flags = SET_LINGER,
        .config = {BRIEF},
    },
    {
        .name = "cookies",
        .title = "as listening, and B answers every SYN by a cookie",
        .adds = "connections from nothing kept",
        .bounds = {.losses = 1, .dups = 1},
        .role = CALLER_AND_LISTENER,
        .flags = SET_COOKIES,
        .config = {BRIEF},
    },
    {
        .name = "defer",
        .title = "as listening, and B's program decides about each SYN",
        .adds = "SYNs accepted, rejected, ignored, forgotten",
        .bounds = {.losses = 1, .dups = 1},
        .role = CALLER_AND_LISTENER,
        .flags = SET_DEFER,
        .config = {BRIEF},
    },
    {
        .name = "again",
        .title = "A connects twice from the same port",
        .adds = "a SYN for a connection in TIME_WAIT, or half-open",
        .role = {{.connects = 2}, {.listening = true}},
        .flags = SET_NO_UNLISTEN,
        .config = {BRIEF},
    },
    {
        .name = "reopened",
        .title = "A has one port, with timestamps: its connect opens the one in TIME_WAIT again",
        .adds = "TIME_WAIT cut short by our own connect",
        .bounds = {.waits = 1},
        .role = {{.connects = 2}, {.listening = true}},
        .flags = SET_NO_UNLISTEN | SET_NEW_PORT,
        .config = {.syn_retries_ms = 2500, .retries_ms = 500, .synack_retries = 2},
    },
    {
        .name = "timestamps",
        .title = "as listening, with timestamps",
        .adds = "PAWS, Eifel detection",
        .bounds = {.losses = 1, .early = 1},
        .role = CALLER_AND_LISTENER,
        .flags = SET_NO_UNLISTEN,
        .config = {.syn_retries_ms = 2500, .retries_ms = 500, .synack_retries = 2},
    },
    {
        .name = "router",
        .title = "both connect, and a router refuses with ICMP",
        .adds = "hard and soft errors by ICMP",
        .bounds = {.refusals = 1},
        .role = {{.connects = 1}, {.connects = 1}},
        .config = {BRIEF},
    },
    {
        .name = "address",
        .title = "as crossing, and a host loses its address",
        .adds = "connections ended by a change",
        .role = {{.connects = 1}, {.connects = 1}},
        .flags = SET_ADDRESS,
        .config = {BRIEF},
    },
    {
        .name = "link",
        .title = "as crossing, link-local, and a host loses its link",
        .adds = "connections ended by a change",
        .role = {{.connects = 1}, {.connects = 1}},
        .flags = SET_LINK,
        .config = {BRIEF},
    },
    {
        .name = "evict",
        .title = "as listening, and a stranger's half-open connection fills B's backlog of one",
        .adds = "the oldest in the backlog makes room",
        .role = CALLER_AND_LISTENER,
        .flags = SET_EVICT | SET_NO_UNLISTEN,
        .config = {.syn_retries_ms = 2500, .retries_ms = 500, .synack_retries = 5, .no_timestamps = 1},
    },
    {
        .name = "recycle",
        .title = "as listening, and B keeps one connection in TIME_WAIT at most, and has one",
        .adds = "the oldest in TIME_WAIT makes room",
        .role = CALLER_AND_LISTENER,
        .flags = SET_RECYCLE | SET_NO_UNLISTEN,
        .config = {BRIEF, .time_wait_max = 1},
    },
    {.name = NULL},
};

const struct setting *settings(void) { return all; }

const struct setting *setting_find(const char *name)
{
    for (const struct setting *s = all; s->name != NULL; s++)
        if (strcmp(s->name, name) == 0)
            return s;
    return NULL;
}

static int say(char *buf, uint32_t len, int at, uint32_t n, const char *one, const char *many)
{
    if (n == 0 || at < 0 || (uint32_t)at >= len)
        return at;
    return at + snprintf(buf + at, len - (uint32_t)at, "%s%u %s", at > 0 ? ", " : "", n, n == 1 ? one : many);
}

void bounds_text(const struct bounds *b, char *buf, uint32_t len)
{
    int n = 0;
    buf[0] = 0;
    n = say(buf, len, n, b->losses, "loss", "losses");
    n = say(buf, len, n, b->dups, "duplicate", "duplicates");
    n = say(buf, len, n, b->bytes, "byte each way", "bytes each way");
    n = say(buf, len, n, b->aborts, "abort", "aborts");
    n = say(buf, len, n, b->early, "early timer", "early timers");
    n = say(buf, len, n, b->cuts, "cut", "cuts");
    n = say(buf, len, n, b->waits, "wait", "waits");
    n = say(buf, len, n, b->refusals, "refusal by a router", "refusals by a router");
    if (n == 0)
        snprintf(buf, len, "no faults");
}
