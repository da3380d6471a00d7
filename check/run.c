/* run.c - performs the events of a script, one after the other, on a virtual clock.
 *
 * Time stands still while an event is performed, and then runs to the next one: tern_tick is called at every
 * deadline on the way. What tern sends is kept in the order of sending, each with its time; only an event
 * that expects a packet looks at it, always at the oldest. So nothing that tern sends can be overlooked: it
 * meets the wrong expectation, or it is left over at the end.
 *
 * A call with an end time may block: it is tried again whenever something has happened, until it is done.
 */
#include "check/run.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    TRACE_RING = 1024,
    ROUNDS_MAX = 100000, /* of ticks and output at one moment: more is an endless loop */
    ANY_TIME_MAX = 172800, /* s: how long * waits */
    AFTERLIFE = 7200,      /* s: when everything must be over that was given back */
};
#define START 1000000000ull /* of the clock, us */

/* Who is told of a trap; a signal handler has no other way to know. */
static struct run *trapped;

/* --- leaving --------------------------------------------------------------------------------- */

static char *copy(const char *text)
{
    return text != NULL ? strdup(text) : NULL;
}

static void conclude(struct run *r, enum check_verdict verdict, int line, int column, const char *format,
                     va_list args)
{
    char text[TEXT_MAX];
    vsnprintf(text, sizeof text, format, args);
    r->result->verdict = verdict;
    r->result->line = line;
    r->result->column = column;
    r->result->message = strdup(text);
}

void run_fail(struct run *r, const char *expected, const char *got, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    conclude(r, CHECK_FAILED, r->event ? r->event->line : 0, r->event ? r->event->column : 0, format, args);
    va_end(args);
    r->result->expected = copy(expected);
    r->result->got = copy(got);
    longjmp(r->out, 1);
}

void run_skip(struct run *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    conclude(r, CHECK_SKIPPED, r->event ? r->event->line : 0, r->event ? r->event->column : 0, format, args);
    va_end(args);
    longjmp(r->out, 1);
}

void run_wrong(struct run *r, int line, int column, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    conclude(r, CHECK_WRONG, line, column, format, args);
    va_end(args);
    longjmp(r->out, 1);
}

/* --- time ------------------------------------------------------------------------------------ */

int64_t run_script_time(const struct run *r, uint64_t t)
{
    return (int64_t)(t - r->zero);
}

int64_t run_tolerance(const struct run *r, int64_t at)
{
    int64_t waited = at > r->base ? at - r->base : 0;
    int64_t share = waited / 1000 * r->set.tolerance_ppm / 1000;
    return share > r->set.tolerance_us ? share : r->set.tolerance_us;
}

const char *run_time_text(int64_t us, char buf[32])
{
    int64_t whole = us < 0 ? -us : us;
    snprintf(buf, 32, "%s%lld.%06lld", us < 0 ? "-" : "", (long long)(whole / 1000000),
             (long long)(whole % 1000000));
    return buf;
}

/* --- what tern sends ------------------------------------------------------------------------- */

/* Room for one more packet, sent now. */
static struct sent *new_sent(struct run *r, uint32_t len)
{
    if (r->n_sent == r->cap_sent) {
        r->cap_sent = r->cap_sent ? r->cap_sent * 2 : 32;
        r->sent = realloc(r->sent, r->cap_sent * sizeof *r->sent);
    }
    struct sent *s = &r->sent[r->n_sent++];
    *s = (struct sent){.t = r->now, .flow = -1, .bytes = malloc(len), .len = len};
    return s;
}

static void look_at(struct run *r, struct sent *s)
{
    s->wrong = packet_read(&s->packet, s->bytes, s->len);
    r->result->sent++;
    if (s->wrong == NULL)
        flow_learn(r, s);
}

void run_keep(struct run *r, const uint8_t *bytes, uint32_t len)
{
    struct sent *s = new_sent(r, len);
    memcpy(s->bytes, bytes, len);
    look_at(r, s);
}

static void keep(struct run *r, const tern_tx_packet *pkt)
{
    struct sent *s = new_sent(r, pkt->len);
    s->len = tern_tx_flatten(pkt, s->bytes);
    look_at(r, s);
}

void run_try_blocked(struct run *r)
{
    if (r->blocked == NULL || r->blocked_done)
        return;
    r->blocked_answer = call_perform(r, r->blocked->call);
    r->blocked_done = !r->blocked_answer.blocks;
    r->blocked_at = r->now;
}

static void tern_collect(struct run *r)
{
    tern_tx_packet pkts[4];
    tern_event events[8];
    int n;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        while ((n = tern_tx(r->t, r->now, pkts, 4)) > 0)
            for (int i = 0; i < n; i++)
                keep(r, &pkts[i]);
        while (tern_events(r->t, events, 8) > 0)
            continue;
        tern_check(r->t);
        wait_refresh(r);
        report_take_trace(r);
        run_try_blocked(r);
        if (tern_next_deadline(r->t) != 0)
            return;
    }
    run_fail(r, NULL, NULL, "tern has something to send for ever");
}

void run_collect(struct run *r) { r->subject->collect(r); }

/* When something is to be done next: a timer of tern, or of a call that waits. */
static uint64_t next_moment(const struct run *r)
{
    uint64_t due = tern_next_deadline(r->t);
    bool waits = r->blocked != NULL && !r->blocked_done && r->wake > r->now;
    return waits && r->wake < due ? r->wake : due;
}

static void tern_until(struct run *r, uint64_t until, bool stop)
{
    int rounds = 0;
    size_t before = r->n_sent;
    for (;;) {
        run_collect(r);
        if (stop && r->n_sent > before)
            return;
        uint64_t due = next_moment(r);
        if (due > until)
            break;
        rounds = due <= r->now ? rounds + 1 : 0;
        if (rounds > ROUNDS_MAX)
            run_fail(r, NULL, NULL, "time does not go on: tern wants to be called again at once, for ever");
        r->now = due > r->now ? due : r->now;
        tern_tick(r->t, r->now);
    }
    r->now = until > r->now ? until : r->now;
    tern_tick(r->t, r->now);
    run_collect(r);
}

void run_until(struct run *r, uint64_t until, bool stop) { r->subject->until(r, until, stop); }

static void tern_give(struct run *r, const uint8_t *bytes, uint32_t len, uint16_t gso_size)
{
    tern_rx_packet pkt = {.data = bytes, .len = len, .gso_size = gso_size, .link = (uint8_t)r->link};
    tern_rx(r->t, r->now, &pkt, 1);
}

/* --- calls that block ------------------------------------------------------------------------ */

/* It has come back: in time, and with the right result? */
static void finish_blocked(struct run *r)
{
    const struct event *e = r->blocked, *now = r->event;
    char want[32], is[32];
    int64_t at = run_script_time(r, r->blocked_at), off = at - r->blocked_end;
    int64_t most = run_tolerance(r, r->blocked_end);
    r->event = e;
    if (off > most || off < -most)
        run_fail(r, run_time_text(r->blocked_end, want), run_time_text(at, is), "%s came back %s",
                 e->call->name, off > 0 ? "too late" : "too early");
    call_judge(r, e, &r->blocked_answer);
    r->event = now;
    r->blocked = NULL;
}

/* Let a call that blocks come to its end, for as long as it may take. */
static void await_blocked(struct run *r)
{
    char want[32];
    if (r->blocked == NULL)
        return;
    const struct event *e = r->blocked;
    uint64_t last = r->zero + (uint64_t)(r->blocked_end + run_tolerance(r, r->blocked_end));
    while (!r->blocked_done && r->now < last) {
        uint64_t due = r->t != NULL ? next_moment(r) : last;
        run_until(r, due < last && due > r->now ? due : last, r->t == NULL);
    }
    if (!r->blocked_done) {
        r->event = e;
        run_fail(r, run_time_text(r->blocked_end, want), "it still blocks", "%s does not come back",
                 e->call->name);
    }
    finish_blocked(r);
}

static void perform_call(struct run *r, const struct event *e, int64_t base)
{
    await_blocked(r);
    r->event = e;
    r->blocked_count = 0;
    r->wake = UINT64_MAX;
    struct answer a = call_perform(r, e->call);
    int64_t end = (e->time == TIME_RELATIVE ? base : 0) + e->call->end_us;
    if (!e->call->blocks) {
        if (a.blocks)
            run_fail(r, NULL, NULL, "%s blocks, and the script gives no end time (TIME...TIME %s)",
                     e->call->name, e->call->name);
        run_collect(r);
        call_judge(r, e, &a);
        return;
    }
    r->blocked = e;
    r->blocked_end = end;
    r->blocked_done = !a.blocks;
    r->blocked_answer = a;
    r->blocked_at = r->now;
    run_collect(r);
}

/* --- events ---------------------------------------------------------------------------------- */

static const char *tern_state(struct run *r, const struct event *e)
{
    tern_info info;
    int f = e->has_ports ? flow_of_ports(r, e->src_port, e->dst_port) : r->current;
    enum tern_state state = TERN_CLOSED;
    if (f >= 0) {
        state = flow_state(r, &r->flow[f].local, &r->flow[f].remote, &info);
    } else {
        tern_endpoint local = {.ip = r->set.local, .port = e->has_ports ? e->dst_port : r->set.bind_port};
        state = flow_state(r, &local, NULL, &info);
    }
    return tern_state_name(state);
}

static void perform_state(struct run *r, const struct event *e)
{
    const char *state = r->subject->state(r, e);
    if (strcmp(state, "LISTEN") == 0 && strcmp(e->text, "CLOSED") == 0)
        return; /* a listener beside it is another thing */
    if (strcmp(state, e->text) != 0)
        run_fail(r, e->text, state, "the connection is in another state");
}

static void perform(struct run *r, const struct event *e, int64_t base)
{
    switch (e->kind) {
    case EVENT_PACKET: flow_receive(r, e->packet); break;
    case EVENT_CALL: perform_call(r, e, base); break;
    case EVENT_CODE: r->subject->code(r, e); break;
    case EVENT_STATE: perform_state(r, e); break;
    case EVENT_COMMAND: break; /* command.c has looked at all of them before */
    }
}

static void run_event(struct run *r, const struct event *e)
{
    char want[32], is[32];
    int64_t base = r->base, offset = e->time == TIME_RELATIVE ? base : 0;
    int64_t from = e->us + offset, to = e->range ? e->end_us + offset : from;
    if (r->blocked != NULL && r->blocked_done)
        finish_blocked(r);
    r->event = e;
    if (e->kind == EVENT_COMMAND)
        return;
    if (r->subject->foreign)
        run_collect(r); /* its clock goes on while we work */
    if (e->kind == EVENT_PACKET && e->packet->outbound) {
        if (e->time == TIME_ANY)
            from = base, to = base + ANY_TIME_MAX * 1000000ll;
        match_expect(r, e, from, to);
        r->base = e->time == TIME_ANY || e->range ? run_script_time(r, r->now) : from;
        return;
    }
    int64_t now = run_script_time(r, r->now);
    if (r->subject->foreign && now > from)
        r->zero += (uint64_t)(now - from); /* a real clock does not wait: the rest comes later */
    else if (now > from + run_tolerance(r, from))
        run_fail(r, run_time_text(from, want), run_time_text(now, is), "the time of this event is over");
    if (now < from)
        run_until(r, r->zero + (uint64_t)from, false);
    r->event = e;
    perform(r, e, base);
    r->base = from;
}

static void run_events(struct run *r)
{
    for (const struct event *e = r->s->events; e != NULL; e = e->next) {
        run_event(r, e);
        r->result->events++;
    }
    r->event = NULL;
    await_blocked(r);
    run_collect(r);
    r->over = r->now;
    match_nothing_left(r);
}

/* --- the end --------------------------------------------------------------------------------- */

/* What is alive on a stack on which nothing is open. */
static uint32_t count_alive(const struct run *r, tern_live *live)
{
    tern_get_live(r->t, live);
    return live->listeners + live->halfopen + live->tcbs + live->timewait + live->chunks + live->sendrecs +
           live->ranges + live->timers + live->pieces + live->kept + live->taken + live->fragments +
           live->replies;
}

/* The program gives everything back. Once all times are over nothing may be left of any connection: not a
 * record, not a timer, not a byte. The peer is silent, and what tern still sends is nobody's business. */
static void leave_nothing(struct run *r)
{
    tern_live live;
    char got[120];
    for (int i = 0; i < SOCKS_MAX; i++)
        if (r->sock[i].kind == SOCK_CONNECTION || r->sock[i].kind == SOCK_LISTENING) {
            tern_abort(r->t, r->sock[i].h);
            desc_release(r, &r->sock[i]);
        }
    uint64_t last = r->now + AFTERLIFE * 1000000ull;
    run_collect(r);
    while (count_alive(r, &live) > 0 && r->now < last) {
        uint64_t due = tern_next_deadline(r->t);
        run_until(r, due < last && due > r->now ? due : last, false);
        while (r->first_sent < r->n_sent)
            match_forget(r);
    }
    if (count_alive(r, &live) == 0)
        return;
    snprintf(got, sizeof got, "%u half-open, %u connections, %u in TIME_WAIT, %u timers, %u pages",
             live.halfopen, live.tcbs, live.timewait, live.timers, live.chunks);
    run_fail(r, "nothing is left", got, "something is left of the connections long after all was given back");
}

/* --- a run ----------------------------------------------------------------------------------- */

static void make_stack(struct run *r)
{
    tern_link_info info = {.mtu = r->set.mtu};
    tern_config *c = &r->set.config;
    /* only touched pages cost anything, and the next script's are clean */
    r->block = mmap(NULL, r->set.memory, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (r->block == MAP_FAILED) {
        r->block = NULL;
        run_wrong(r, r->s->options ? r->s->options->line : 1, 1, "there is no memory of %zu bytes",
                  r->set.memory);
    }
    r->ring = aligned_alloc(16, TRACE_RING * sizeof *r->ring);
    c->trace = r->ring;
    c->trace_records = TRACE_RING;
    int made = tern_create(&r->t, c, r->block, r->set.memory);
    if (made < 0)
        run_wrong(r, r->s->options ? r->s->options->line : 1, 1, "tern refuses this configuration: %s",
                  strerror(-made));
    tern_tick(r->t, r->now);
    r->link = tern_link_add(r->t, &info);
    if (r->link < 0)
        run_wrong(r, 1, 1, "tern refuses a link with an MTU of %u bytes", r->set.mtu);
    int added = tern_addr_add(r->t, r->link, &r->set.local, tern_ip_is4(&r->set.local) ? 16 : 48);
    tern_ip any = tern_ip_is4(&r->set.local) ? tern_ip4(0, 0, 0, 0) : (tern_ip){{0}};
    if (added < 0 || tern_route_add(r->t, r->link, &any, 0) < 0)
        run_wrong(r, 1, 1, "tern refuses the address of --local_ip");
}

static void destroy_stack(struct run *r)
{
    if (r->t != NULL && !r->broken)
        tern_destroy(r->t);
    if (r->block != NULL)
        munmap(r->block, r->set.memory);
    free(r->ring);
}

static void free_run(struct run *r)
{
    for (size_t i = r->first_sent; i < r->n_sent; i++)
        free(r->sent[i].bytes);
    free(r->sent);
    for (int i = 0; i < SOCKS_MAX; i++)
        for (struct watch *w = r->sock[i].watches, *next; w != NULL; w = next) {
            next = w->next;
            free(w);
        }
    for (int i = 0; i < r->flows; i++)
        free(r->flow[i].written.v);
    free(r->flow);
    free(r->trace);
    free(r->scratch.v);
    free(r);
}

static void note_line(const struct script *s, struct check_result *out)
{
    const char *text;
    if (out->verdict == CHECK_PASSED || out->line == 0)
        return;
    size_t len = script_line(s, out->line, &text); /* no zero need follow */
    len = len < TEXT_MAX ? len : TEXT_MAX;
    out->script_line = memcpy(calloc(1, len + 1), text, len);
}

static void run_script(struct run *r)
{
    settings_read(r);
    commands_read(r);
    r->subject->begin(r);
    run_events(r);
    if (r->subject->over != NULL)
        r->subject->over(r);
}

static const struct subject tern_subject = {
    .begin = make_stack,
    .over = leave_nothing,
    .end = destroy_stack,
    .give = tern_give,
    .collect = tern_collect,
    .until = tern_until,
    .call = call_tern,
    .code = code_run,
    .state = tern_state,
};

static struct run *new_run(const struct subject *subject, const struct script *s,
                           const struct check_options *o, struct check_result *out, uint64_t start)
{
    struct run *r = calloc(1, sizeof *r);
    r->subject = subject;
    r->s = s;
    r->options = o;
    r->result = out;
    r->now = r->zero = start;
    r->current = -1;
    r->wake = UINT64_MAX;
    r->flow = calloc(FLOWS_MAX, sizeof *r->flow);
    return r;
}

/* A trap is an invariant of tern that does not hold (tern_check), or one of its assertions. */
static void on_trap(int number)
{
    (void)number;
    trapped->broken = true;
    run_fail(trapped, NULL, NULL, "tern has stopped itself: one of its invariants is broken");
}

static void run_guarded(struct run *r, bool catch_trap)
{
    struct sigaction catching = {.sa_handler = on_trap, .sa_flags = SA_NODEFER}, ill, trap;
    if (catch_trap) {
        trapped = r;
        sigaction(SIGILL, &catching, &ill);
        sigaction(SIGTRAP, &catching, &trap);
    }
    if (setjmp(r->out) == 0)
        run_script(r);
    if (catch_trap) {
        sigaction(SIGILL, &ill, NULL);
        sigaction(SIGTRAP, &trap, NULL);
    }
}

static bool wants_ladder(const struct run *r, enum check_ladder when)
{
    return r->t != NULL && (when == CHECK_LADDER_ALWAYS ||
                            (when == CHECK_LADDER_FAILED && r->result->verdict == CHECK_FAILED));
}

/* One run of a script that could be read. With --tern=iss=N the first one may only show how far the clock
 * must be put forward: initial sequence numbers are a clock of 4 us and something that stays (RFC 6528 3).
 * Returns by how much; 0 = the run counts. */
static uint64_t run_once(const struct subject *subject, const struct script *s,
                         const struct check_options *o, uint64_t shift, struct check_result *out)
{
    struct run *r = new_run(subject, s, o, out, START + shift);
    run_guarded(r, o->catch_trap);
    uint32_t missing = r->set.has_iss && r->isn_seen && shift == 0 ? r->set.iss - r->isn : 0;
    out->virtual_us = (r->over ? r->over : r->now) - r->zero;
    if (missing == 0 && wants_ladder(r, o->ladder))
        report_ladder(r, o->color);
    subject->end(r);
    free_run(r);
    return 4ull * missing;
}

static void run_against(const struct subject *subject, const char *text, size_t len,
                        const struct check_options *options, struct check_result *out)
{
    struct script s;
    *out = (struct check_result){.verdict = CHECK_PASSED};
    script_parse(&s, text, len);
    if (s.wrong || s.unsupported) {
        out->verdict = s.wrong ? CHECK_WRONG : CHECK_SKIPPED;
        out->line = s.line;
        out->column = s.column;
        out->message = strdup(s.message);
    } else {
        uint64_t shift = run_once(subject, &s, options, 0, out);
        if (shift != 0) {
            check_result_free(out);
            run_once(subject, &s, options, shift, out);
        }
    }
    note_line(&s, out);
    script_free(&s);
}

void check_run_buffer(const char *text, size_t len, const struct check_options *options,
                      struct check_result *out)
{
    run_against(&tern_subject, text, len, options, out);
}

void check_run_against(const struct subject *subject, const char *text, size_t len, struct check_result *out)
{
    run_against(subject, text, len, &(struct check_options){0}, out);
}

void check_result_free(struct check_result *r)
{
    free(r->message);
    free(r->script_line);
    free(r->expected);
    free(r->got);
    free(r->ladder);
    *r = (struct check_result){0};
}
