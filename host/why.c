/* why.c - the sentences of `tern ss`.
 *
 * Order of a text: first the plain direction (who did what, how long ago), then the evidence that decides
 * between the possible reasons (unread bytes, end of stream read or not, retransmissions), then who has to
 * act. A name of a state alone misleads: CLOSE_WAIT sounds as if the other side had to close.
 *
 * What cannot be known from here is said so ("looks the same from here"), not guessed.
 */
#include "host/why.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { RECENT_US = 5000000 }; /* what happened within 5 s is "now" for a person */

typedef struct story {
    const json_t *info;
    uint64_t now;
    tern_why *out;
    size_t len;
} story;

static uint64_t number(const story *s, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(s->info, key));
    return v > 0 ? (uint64_t)v : 0;
}

static bool yes(const story *s, const char *key) { return json_is_true(json_object_get(s->info, key)); }

static const char *words(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text != NULL ? text : "";
}

static uint64_t ago(const story *s, const char *key)
{
    uint64_t t = number(s, key);
    return t != 0 && t < s->now ? s->now - t : 0;
}

/* Append to the text, with a blank between sentences. */
__attribute__((format(printf, 2, 3))) static void tell(story *s, const char *format, ...)
{
    va_list args;
    size_t room = sizeof s->out->text;
    if (s->len > 0 && s->len + 1 < room)
        s->out->text[s->len++] = ' ';
    va_start(args, format);
    int n = vsnprintf(s->out->text + s->len, room - s->len, format, args);
    va_end(args);
    if (n > 0)
        s->len = s->len + (size_t)n < room ? s->len + (size_t)n : room - 1;
}

static void judge(story *s, const char *verdict, const char *owes)
{
    s->out->verdict = verdict;
    s->out->owes = owes;
}

/* --- quantities ------------------------------------------------------------------------------- */

const char *tern_why_span(uint64_t us, char buf[32])
{
    uint64_t sec = us / 1000000;
    if (us < 1000)
        snprintf(buf, 32, "%u us", (unsigned)us);
    else if (us < 1000000)
        snprintf(buf, 32, "%u ms", (unsigned)(us / 1000));
    else if (sec < 10)
        snprintf(buf, 32, "%u.%u s", (unsigned)sec, (unsigned)(us / 100000 % 10));
    else if (sec < 120)
        snprintf(buf, 32, "%u s", (unsigned)sec);
    else if (sec < 7200)
        snprintf(buf, 32, "%u min", (unsigned)(sec / 60));
    else if (sec < 48 * 3600)
        snprintf(buf, 32, "%u h %u min", (unsigned)(sec / 3600), (unsigned)(sec / 60 % 60));
    else
        snprintf(buf, 32, "%u days", (unsigned)(sec / 86400));
    return buf;
}

const char *tern_why_bytes(uint64_t n, char buf[32])
{
    if (n == 1)
        snprintf(buf, 32, "1 byte");
    else if (n < 1000)
        snprintf(buf, 32, "%u bytes", (unsigned)n);
    else if (n < 1000000)
        snprintf(buf, 32, "%u,%03u bytes", (unsigned)(n / 1000), (unsigned)(n % 1000));
    else if (n < 1u << 30)
        snprintf(buf, 32, "%.1f MiB", (double)n / (1 << 20));
    else
        snprintf(buf, 32, "%.1f GiB", (double)n / (1 << 30));
    return buf;
}

/* "once", "twice", "5 times" */
static const char *times(uint64_t n, char buf[32])
{
    if (n == 1 || n == 2)
        return n == 1 ? "once" : "twice";
    snprintf(buf, 32, "%llu times", (unsigned long long)n);
    return buf;
}

/* --- parts that several states share ---------------------------------------------------------- */

/* "; it is sent again in 1.2 s": when the next attempt is due. */
static void tell_next_try(story *s, const char *what)
{
    char span[32], count[32];
    uint64_t due = number(s, "timer_us"), tries = number(s, "backoff");
    bool resends = strcmp(words(s->info, "timer"), "retransmit") == 0;
    if (tries > 0 && resends && due > s->now)
        tell(s, "%s was repeated %s, the next time in %s.", what, times(tries, count),
             tern_why_span(due - s->now, span));
    else if (tries > 0)
        tell(s, "%s was repeated %s.", what, times(tries, count));
    else if (resends && due > s->now)
        tell(s, "It is repeated in %s if no answer comes.", tern_why_span(due - s->now, span));
}

static void tell_soft_error(story *s)
{
    const char *text = words(s->info, "soft_error_text");
    if (text[0] != '\0')
        tell(s, "A router or the other host reported trouble: %s (ICMP type %u, code %u).", text,
             (unsigned)number(s, "icmp_type"), (unsigned)number(s, "icmp_code"));
}

/* Whether sending does not get on; says why, and judges. */
static bool tell_sending(story *s)
{
    char bytes[32], span[32];
    uint64_t waiting = number(s, "send_queue"), unacked = number(s, "send_unacked");
    if (number(s, "backoff") > 0 && unacked > 0) {
        tell(s, "%s sent are not acknowledged; the last segment from the other side came %s ago.",
             tern_why_bytes(unacked, bytes), tern_why_span(ago(s, "last_rx_us"), span));
        tell_next_try(s, "The first of them");
        tell(s, "The path, or the other host, is gone or overloaded: both look the same from here.");
        judge(s, "lossy", "the network");
        return true;
    }
    if (waiting > 0 && number(s, "snd_wnd") == 0) {
        tell(s, "%s wait because the other side's receive window is shut: its program does not read.",
             tern_why_bytes(waiting, bytes));
        if (number(s, "probes") > 0)
            tell(s, "tern has probed the window %s.", times(number(s, "probes"), span));
        judge(s, "blocked", "the other side");
        return true;
    }
    return false;
}

/* Whether this connection still waits in the accept queue; says so, and judges. */
static bool tell_unaccepted(story *s)
{
    char span[32];
    if (!yes(s, "unaccepted"))
        return false;
    tell(s, "The program has not accepted this connection yet: it has waited in the accept queue for %s.",
         tern_why_span(ago(s, "opened_us"), span));
    judge(s, ago(s, "opened_us") > RECENT_US ? "stuck" : "waiting", "this program");
    return true;
}

/* --- the states ------------------------------------------------------------------------------- */

/* Not yet noticed, noticed and forgotten, or busy: what was read decides. */
static void close_wait_evidence(story *s)
{
    char bytes[32], span[32];
    uint64_t unread = number(s, "recv_queue"), sending = number(s, "send_queue") + number(s, "send_unacked");
    if (unread > 0) {
        tell(s, "%s before the end are still unread: the program is stuck or busy elsewhere.",
             tern_why_bytes(unread, bytes));
        judge(s, "stuck", "this program");
    } else if (sending > 0 && ago(s, "last_tx_us") < RECENT_US) {
        tell(s, "It is still sending (%s to go, the last segment %s ago): a half-closed connection at work.",
             tern_why_bytes(sending, bytes), tern_why_span(ago(s, "last_tx_us"), span));
        judge(s, "healthy", "this program");
    } else if (yes(s, "eof_read")) {
        tell(
            s,
            "It has read the end of the stream, so it knows: a forgotten close, unless it means to send.");
        judge(s, "forgotten", "this program");
    } else {
        tell(s, "It has read every byte but not the end behind them: nobody watches this connection.");
        judge(s, "unwatched", "this program");
    }
}

static void say_close_wait(story *s)
{
    char span[32];
    uint64_t closed = number(s, "eof_us") != 0 ? ago(s, "eof_us") : ago(s, "state_since_us");
    tell(s, "The other side closed %s ago; this program has not.", tern_why_span(closed, span));
    if (!tell_unaccepted(s) && !tell_sending(s))
        close_wait_evidence(s);
    tell(s, "Until it closes, the other side waits in FIN_WAIT_2, or has given up waiting.");
}

static void say_fin_wait_2(story *s)
{
    char span[32];
    uint64_t due = number(s, "timer_us");
    tell(
        s,
        "This program closed its direction, and the other side has known that for %s; "
        "it has not closed its own.",
        tern_why_span(ago(s, "state_since_us"), span));
    tell(s, "There it is CLOSE_WAIT: the program on the other side owes the close.");
    if (yes(s, "held"))
        tell(s, "Until then this program can still receive; the last segment came %s ago.",
             tern_why_span(ago(s, "last_rx_us"), span));
    else if (due > s->now)
        tell(s, "This program has let go of the connection; tern gives up on it in %s.",
             tern_why_span(due - s->now, span));
    judge(s, "waiting", "the other side");
}

/* Ours was closed and the FIN is not acknowledged: FIN_WAIT_1, CLOSING, LAST_ACK. */
static void tell_fin_unacked(story *s)
{
    char bytes[32];
    uint64_t before = number(s, "send_queue");
    if (!yes(s, "fin_sent")) {
        tell(s, "The FIN waits behind %s that are not sent yet.", tern_why_bytes(before, bytes));
        if (number(s, "snd_wnd") == 0) {
            tell(s, "The other side's receive window is shut: its program does not read.");
            judge(s, "blocked", "the other side");
        }
        return;
    }
    tell(s, "The FIN is sent and not acknowledged yet.");
    tell_next_try(s, "It");
    if (number(s, "backoff") > 1) {
        tell(s, "The path, or the other host, is gone: both look the same from here.");
        judge(s, "lossy", "the network");
    }
}

/* How it came to wait for the acknowledgment of its FIN: "... 3 s ago." */
static void say_fin_unacked(story *s, const char *how)
{
    char span[32];
    judge(s, "waiting", "the other side");
    tell(s, "%s %s ago.", how, tern_why_span(ago(s, "state_since_us"), span));
    tell_fin_unacked(s);
}

static void say_fin_wait_1(story *s) { say_fin_unacked(s, "This program closed first,"); }

static void say_closing(story *s)
{
    say_fin_unacked(s, "Both sides closed at the same time: the FINs crossed");
}

static void say_last_ack(story *s)
{
    say_fin_unacked(s, "The other side closed first; this program has closed too,");
}

static void say_time_wait(story *s)
{
    char span[32];
    uint64_t due = number(s, "timer_us");
    const char *cause = words(s->info, "cause");
    bool crossed = strcmp(cause, "CLOSING_ACKED") == 0;
    tell(s, crossed ? "Both sides closed at the same time." : "Both sides have closed, this one first.");
    if (due > s->now)
        tell(
            s,
            "The addresses and ports stay reserved for %s more, so that late segments cannot reach a new "
            "connection and a lost last ACK can be repeated.",
            tern_why_span(due - s->now, span));
    else
        tell(s, "The addresses and ports stay reserved for 2 MSL.");
    tell(s, "Harmless: the side that closes first always has it.");
    judge(s, "healthy", "time");
}

static void say_syn_sent(story *s)
{
    char span[32];
    judge(s, ago(s, "state_since_us") > RECENT_US ? "stuck" : "waiting", "the other side");
    tell(s, "The SYN was sent %s ago and has no answer.", tern_why_span(ago(s, "state_since_us"), span));
    tell_next_try(s, "It");
    if (number(s, "backoff") > 0)
        tell(s, "A firewall that drops, a wrong address and a host that is off look the same from here.");
    tell_soft_error(s);
}

static void say_syn_rcvd(story *s)
{
    char span[32];
    bool crossed = strcmp(words(s->info, "cause"), "SYN_RCVD_SIMULTANEOUS") == 0;
    judge(s, ago(s, "state_since_us") > RECENT_US ? "stuck" : "waiting", "the other side");
    tell(s, "%s %s ago; it is answered, and the acknowledgment of our SYN, the third step, has not come.",
         crossed ? "A SYN crossed ours" : "A SYN came", tern_why_span(ago(s, "state_since_us"), span));
    tell_next_try(s, "The answer");
    if (number(s, "backoff") > 0)
        tell(s, "A lossy way back, a client that withholds it and a forged sender look the same from here.");
}

static void say_listen(story *s)
{
    char span[32];
    uint64_t waiting = number(s, "acceptq"), left = number(s, "left_unaccepted"),
             full = number(s, "refused_full");
    uint64_t oldest = ago(s, "accept_oldest_us");
    judge(s, "healthy", "nobody");
    if (waiting > 0) {
        tell(s, "%llu %s for the program to accept, the oldest for %s.", (unsigned long long)waiting,
             waiting == 1 ? "connection waits" : "connections wait", tern_why_span(oldest, span));
        if (oldest > RECENT_US) {
            tell(s, "The program does not accept: it is stuck or busy elsewhere.");
            judge(s, "stuck", "this program");
        }
    } else {
        tell(s, "Waits for connections.");
    }
    if (number(s, "halfopen") > 0)
        tell(s, "%llu half open.", (unsigned long long)number(s, "halfopen"));
    if (left > 0)
        tell(s, "%llu %s before the program accepted.", (unsigned long long)left,
             left == 1 ? "client left" : "clients left");
    if (full > 0)
        tell(s, "%llu %s met a full queue and silence: clients try again, and wait meanwhile (backlog %llu).",
             (unsigned long long)full, full == 1 ? "attempt" : "attempts",
             (unsigned long long)number(s, "backlog"));
}

/* An open connection that does not move: who does not read, or nobody has anything to say. */
static void established_quiet(story *s)
{
    char span[32], bytes[32];
    uint64_t unread = number(s, "recv_queue"), quiet = ago(s, "last_rx_us"), sent = ago(s, "last_tx_us");
    if (sent != 0 && (quiet == 0 || sent < quiet))
        quiet = sent;
    if (unread > 0 && quiet > RECENT_US) {
        tell(s, "%s lie unread and nothing has moved for %s: this program does not read.",
             tern_why_bytes(unread, bytes), tern_why_span(quiet, span));
        judge(s, "stuck", "this program");
    } else if (unread > 0 && number(s, "rcv_wnd") == 0) {
        tell(s, "The receive buffer is full (%s): the other side waits for this program to read.",
             tern_why_bytes(unread, bytes));
        judge(s, "blocked", "this program");
    } else if (quiet > 60000000) {
        tell(s, "Nothing was sent or received for %s: idle.", tern_why_span(quiet, span));
        if (strcmp(words(s->info, "timer"), "keepalive") != 0)
            tell(s,
                 "Keepalive is off, so a peer that vanished would not be noticed before something is sent.");
        judge(s, "healthy", "nobody");
    } else {
        judge(s, "healthy", "nobody");
    }
}

static void say_established(story *s)
{
    char span[32];
    tell(s, "Open for %s; both sides may send.", tern_why_span(ago(s, "state_since_us"), span));
    if (!tell_unaccepted(s) && !tell_sending(s))
        established_quiet(s);
    tell_soft_error(s);
}

static void say_closed(story *s)
{
    char span[32];
    const char *text = words(s->info, "text"), *rule = words(s->info, "rule"),
               *error = words(s->info, "error_text");
    tell(s, "Over for %s: %s (%s).", tern_why_span(ago(s, "state_since_us"), span), text, rule);
    if (error[0] != '\0')
        tell(s, "Its calls say: %s.", error);
    if (yes(s, "held"))
        tell(s, "Only the handle is left; this program has not released it.");
    judge(s, "over", yes(s, "held") ? "this program" : "nobody");
}

void tern_why_say(const json_t *info, uint64_t now_us, tern_why *out)
{
    static const struct {
        const char *state;
        void (*say)(story *s);
    } states[] = {
        {"CLOSED", say_closed},         {"LISTEN", say_listen},           {"SYN_SENT", say_syn_sent},
        {"SYN_RCVD", say_syn_rcvd},     {"ESTABLISHED", say_established}, {"FIN_WAIT_1", say_fin_wait_1},
        {"FIN_WAIT_2", say_fin_wait_2}, {"CLOSE_WAIT", say_close_wait},   {"CLOSING", say_closing},
        {"LAST_ACK", say_last_ack},     {"TIME_WAIT", say_time_wait},
    };
    story s = {.info = info, .now = now_us, .out = out};
    *out = (tern_why){.verdict = "healthy", .owes = "nobody"};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (strcmp(words(info, "state"), states[i].state) == 0)
            states[i].say(&s);
}
