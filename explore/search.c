/* search.c - see search.h. */
#include "search.h"

#include "mark.h"
#include "move.h"
#include "probe.h"
#include "store.h"
#include "trap.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { ALL_PROBES = 40, ROUND = 8192, THREADS_MOST = 64, DEPTH_MOST = 4000, NO_MOVE = 0xffff };

/* What came out of one move. */
struct outcome {
    uint64_t key[2];
    uint32_t parent;
    uint16_t move;
    uint8_t pair, fault, flags;
    bool mannered; /* it is what good manners do next */
    uint64_t where; /* FAULT_TRAP */
};

/* One thread's world and what it has found out in this round. */
struct worker {
    const struct store *store;
    struct duo *duo;
    struct marks *marks;
    uint32_t path[DEPTH_MOST]; /* the nodes of the present path, by depth */
    uint32_t depth;            /* of the last one */
    uint32_t from, to;         /* nodes of this round */
    struct outcome *out;
    uint32_t n_out, cap_out;
    unsigned probes;
    bool failed;               /* no memory */
};

struct search {
    const struct search_config *config;
    struct store store;
    struct worker worker[THREADS_MOST];
    unsigned threads;
    uint32_t next; /* node to be expanded */
    struct search_result *result;
};

/* --- walking ------------------------------------------------------------------------------------ */

/* The path to a node from the beginning, without it; returns its length. */
static uint32_t path_of(const struct store *s, uint32_t node, uint32_t path[DEPTH_MOST])
{
    uint32_t n = 0;
    for (uint32_t i = node; i != NO_NODE && n < DEPTH_MOST; i = s->node[i].parent)
        path[n++] = i;
    for (uint32_t i = 0; i < n / 2; i++) {
        uint32_t swap = path[i];
        path[i] = path[n - 1 - i];
        path[n - 1 - i] = swap;
    }
    return n;
}

/* Make the world of a node. False: no memory, or too far away. */
static bool go_to(struct worker *w, uint32_t node)
{
    uint32_t path[DEPTH_MOST], n = path_of(w->store, node, path), same = 0;
    if (n == DEPTH_MOST)
        return false;
    while (same < n && same <= w->depth && path[same] == w->path[same])
        same++;
    if (same < n)
        marks_back(w->marks, same - 1);
    for (uint32_t i = same; i < n; i++) {
        move_make(w->duo, w->store->node[path[i]].move);
        if (!marks_put(w->marks, i))
            return false;
        w->path[i] = path[i];
    }
    w->depth = n - 1;
    return true;
}

/* --- one world ---------------------------------------------------------------------------------- */

static struct outcome *add_outcome(struct worker *w, uint32_t parent, uint16_t move)
{
    if (w->n_out == w->cap_out) {
        uint32_t cap = w->cap_out != 0 ? w->cap_out * 2 : 4096;
        struct outcome *more = realloc(w->out, cap * sizeof *more);
        if (more == NULL) {
            w->failed = true;
            return NULL;
        }
        w->out = more;
        w->cap_out = cap;
    }
    struct outcome *o = &w->out[w->n_out++];
    *o = (struct outcome){.parent = parent, .move = move};
    return o;
}

static bool something_left(const struct duo *d, int side)
{
    tern_live l;
    if (d->setting->flags & (SET_EVICT | SET_RECYCLE))
        return false; /* of the stranger */
    tern_get_live(d->stack[side], &l);
    return l.listeners + l.halfopen + l.tcbs + l.timewait + l.chunks + l.sendrecs + l.ranges + l.timers +
               l.replies !=
           0;
}

static void judge_end(struct duo *d, struct outcome *o)
{
    if (!duo_over(d))
        return;
    o->flags = NODE_OVER;
    if (something_left(d, A) || something_left(d, B))
        duo_blame(d, FAULT_LEFT);
}

static void describe(struct duo *d, struct outcome *o)
{
    if (d->scene.fault != FAULT_TRAP) {
        judge_end(d, o);
        o->pair = (uint8_t)(d->scene.side[A].state << 4 | d->scene.side[B].state);
        duo_sum(d, o->key);
    }
    o->fault = d->scene.fault;
}

/* All is quiet: no segment under way, no timer that will ever be heard of. */
static bool one_mind(const struct duo *d)
{
    const struct side *a = &d->scene.side[A], *b = &d->scene.side[B];
    if (d->scene.broken)
        return true; /* they will find out when one of them speaks */
    bool none_a = a->n_rec == 0, none_b = b->n_rec == 0;
    if (none_a || none_b)
        return none_a && none_b;
    bool open = a->state == TERN_ESTABLISHED && b->state == TERN_ESTABLISHED;
    bool half = (a->state == TERN_FIN_WAIT_2 && b->state == TERN_CLOSE_WAIT) ||
                (a->state == TERN_CLOSE_WAIT && b->state == TERN_FIN_WAIT_2);
    return open || half;
}

/* Of what each program has sent, the other has read or can read all. */
static bool all_there(const struct duo *d)
{
    for (int side = 0; side < SIDES; side++) {
        const struct side *from = &d->scene.side[side], *to = &d->scene.side[!side];
        uint32_t sent = from->actor.conn.v != 0 ? from->actor.stream[from->actor.n_streams - 1].sent : 0;
        if (from->actor.conn.v == 0 || to->n_rec == 0 || d->scene.broken || from->n_rec == 0)
            continue;
        if (to->actor.received + to->rec[0].unread != sent)
            return false;
    }
    return true;
}

/* What is wrong with a world by itself, all of whose moves are known. */
static void judge_rest(struct worker *w, uint32_t node, bool quiet, bool polite, bool wrong)
{
    struct outcome *o;
    enum fault f = FAULT_NONE;
    marks_back(w->marks, w->depth);
    if (quiet && !(one_mind(w->duo) && all_there(w->duo)))
        f = FAULT_DISAGREE;
    else if (!polite && !wrong && !duo_over(w->duo))
        f = FAULT_STUCK;
    if (f != FAULT_NONE && (o = add_outcome(w, node, NO_MOVE)) != NULL)
        o->fault = (uint8_t)f;
}

static void expand(struct worker *w, uint32_t node)
{
    uint16_t moves[MOVES_MOST];
    uint32_t first = w->n_out, best = NO_NODE;
    uint8_t soonest = MANNERS_NEVER;
    bool quiet = w->duo->scene.n_flying == 0, wrong = false;
    int n = moves_list(w->duo, moves);
    uint8_t manners[MOVES_MOST];
    for (int i = 0; i < n; i++)
        manners[i] = move_manners(w->duo, moves[i]);
    for (int i = 0; i < n && !w->failed; i++) {
        uint64_t where = 0;
        marks_back(w->marks, w->depth);
        if (!trap_move(w->duo, moves[i], &where))
            continue;
        struct outcome *o = add_outcome(w, node, moves[i]);
        if (o == NULL)
            return;
        o->where = where;
        describe(w->duo, o);
        quiet &= move_kind(moves[i]) != MOVE_TIME;
        wrong |= o->fault != FAULT_NONE;
        if (manners[i] < soonest) {
            soonest = manners[i];
            best = w->n_out - 1;
        }
    }
    if (best != NO_NODE)
        w->out[best].mannered = true;
    judge_rest(w, node, quiet && w->n_out >= first, best != NO_NODE, wrong);
}

/* Not every probe can be tried in every world; which ones, its number decides. Only what is wrong comes
 * out. */
static void probe(struct worker *w, uint32_t node)
{
    uint32_t all = probes_most(), n = node < ALL_PROBES && w->probes > 0 ? all : w->probes;
    uint32_t first = node * 2654435761u >> 8;
    for (uint32_t i = 0; i < n && !w->failed; i++) {
        uint16_t move = MOVE(MOVE_PROBE, (first + i) % all);
        uint64_t where = 0;
        marks_back(w->marks, w->depth);
        if (!trap_move(w->duo, move, &where) || w->duo->scene.fault == FAULT_NONE)
            continue;
        struct outcome *o = add_outcome(w, node, move);
        if (o == NULL)
            return;
        o->where = where;
        o->fault = w->duo->scene.fault;
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;
    for (uint32_t i = w->from; i < w->to && !w->failed; i++) {
        w->failed = !go_to(w, i);
        if (!w->failed) {
            expand(w, i);
            probe(w, i);
        }
    }
    return NULL;
}

/* --- what was found ----------------------------------------------------------------------------- */

static void tell_path(const struct search *s, uint32_t node, struct search_found *f)
{
    uint32_t path[DEPTH_MOST], n = path_of(&s->store, node, path);
    for (uint32_t i = 1; i < n && f->n < PATH_TOLD; i++)
        f->move[f->n++] = s->store.node[path[i]].move;
}

static void note_fault(struct search *s, enum fault fault, uint32_t node, uint16_t move, uint64_t where)
{
    struct search_found *f = &s->result->found[fault];
    s->result->faults++;
    if (f->times++ > 0)
        return;
    tell_path(s, node, f);
    if (move != NO_MOVE && f->n < PATH_TOLD)
        f->move[f->n++] = move;
    f->trap_at = where;
}

static bool note_outcome(struct search *s, const struct outcome *o)
{
    struct search_result *r = s->result;
    r->transitions += o->move != NO_MOVE;
    if (o->fault != FAULT_NONE) {
        note_fault(s, (enum fault)o->fault, o->parent, o->move, o->where);
        return true;
    }
    bool fresh;
    uint32_t id = store_add(&s->store, o->key, &fresh);
    if (id == NO_NODE)
        return false;
    struct node *n = &s->store.node[id];
    if (fresh) {
        n->parent = o->parent;
        n->move = o->move;
        n->flags = o->flags;
        n->pair = o->pair;
    }
    if (o->mannered)
        s->store.node[o->parent].next = id;
    return true;
}

/* --- rounds ------------------------------------------------------------------------------------- */

/* The next worlds, a share for each thread. */
static void share(struct search *s)
{
    uint32_t n = s->store.n - s->next, from = s->next;
    n = n < ROUND ? n : ROUND;
    for (unsigned i = 0; i < s->threads; i++) {
        uint32_t to = s->next + (uint32_t)((uint64_t)n * (i + 1) / s->threads);
        s->worker[i].from = from;
        s->worker[i].to = to;
        s->worker[i].n_out = 0;
        from = to;
    }
    s->next += n;
}

static void run_workers(struct search *s)
{
    pthread_t thread[THREADS_MOST];
    bool started[THREADS_MOST] = {false};
    for (unsigned i = 1; i < s->threads; i++)
        started[i] = pthread_create(&thread[i], NULL, work, &s->worker[i]) == 0;
    work(&s->worker[0]);
    for (unsigned i = 1; i < s->threads; i++) {
        if (started[i])
            pthread_join(thread[i], NULL);
        else
            work(&s->worker[i]);
    }
}

/* False: no memory. */
static bool one_round(struct search *s)
{
    uint32_t first = s->next;
    share(s);
    run_workers(s);
    for (unsigned i = 0; i < s->threads; i++) {
        const struct worker *w = &s->worker[i];
        if (w->failed)
            return false;
        for (uint32_t k = 0; k < w->n_out; k++)
            if (!note_outcome(s, &w->out[k]))
                return false;
    }
    for (uint32_t i = first; i < s->next; i++)
        s->store.node[i].flags |= NODE_EXPANDED;
    return true;
}

static bool goes_on(const struct search *s)
{
    const struct search_config *c = s->config;
    const struct search_result *r = s->result;
    struct search_progress p = {s->store.n, s->next, r->transitions, r->faults};
    if (s->next == s->store.n || r->faults >= FAULTS_MOST || (c->limit != 0 && s->store.n >= c->limit))
        return false;
    return c->go_on == NULL || c->go_on(c->ctx, &p);
}

/* --- endings ------------------------------------------------------------------------------------ */

/* Where good manners lead from node to node: to an end, round in a circle, or to what has not been looked at.
 * The nodes of the way are marked with `on_way` while it is walked. */
static uint8_t follow(struct store *s, uint32_t node, uint8_t *on_way)
{
    uint32_t i = node;
    while (i != NO_NODE && on_way[i] == 0 && !(s->node[i].flags & (NODE_OVER | NODE_ENDS | NODE_ENDLESS))) {
        on_way[i] = 1;
        i = s->node[i].next;
    }
    uint8_t verdict = i == NO_NODE                                          ? 0
                      : s->node[i].flags & (NODE_OVER | NODE_ENDS)          ? NODE_ENDS
                      : s->node[i].flags & NODE_ENDLESS || on_way[i] == 1   ? NODE_ENDLESS
                                                                            : 0;
    for (i = node; i != NO_NODE && on_way[i] == 1; i = s->node[i].next) {
        on_way[i] = 2;
        s->node[i].flags |= verdict;
    }
    return verdict;
}

static void tell_circle(struct search *s, uint32_t node)
{
    struct search_found *f = &s->result->found[FAULT_ENDLESS];
    uint32_t seen[PATH_TOLD], n = 0, at = f->n;
    for (uint32_t i = node; i != NO_NODE && n < PATH_TOLD; i = s->store.node[i].next) {
        for (uint32_t k = 0; k < n; k++)
            if (seen[k] == i) {
                f->circle = at + k;
                return;
            }
        seen[n++] = i;
    }
}

static void judge_endings(struct search *s)
{
    uint8_t *on_way = calloc(s->store.n, 1);
    if (on_way == NULL) {
        s->result->no_memory = true;
        return;
    }
    for (uint32_t i = 0; i < s->store.n; i++) {
        bool first = s->result->found[FAULT_ENDLESS].times == 0;
        if (follow(&s->store, i, on_way) != NODE_ENDLESS)
            continue;
        note_fault(s, FAULT_ENDLESS, i, NO_MOVE, 0);
        if (first)
            tell_circle(s, i);
    }
    free(on_way);
}

/* --- all of it ---------------------------------------------------------------------------------- */

static bool begin(struct search *s)
{
    const struct search_config *c = s->config;
    bool fresh;
    uint64_t key[2];
    s->threads = c->threads == 0 ? 1 : c->threads < THREADS_MOST ? c->threads : THREADS_MOST;
    if (!store_init(&s->store))
        return false;
    for (unsigned i = 0; i < s->threads; i++) {
        struct worker *w = &s->worker[i];
        w->store = &s->store;
        w->probes = c->probes;
        w->duo = duo_new(c->setting, c->bounds);
        w->marks = w->duo != NULL ? marks_new(w->duo) : NULL;
        if (w->marks == NULL || !marks_put(w->marks, 0))
            return false;
    }
    duo_sum(s->worker[0].duo, key);
    uint32_t root = store_add(&s->store, key, &fresh);
    const struct scene *scene = &s->worker[0].duo->scene;
    s->store.node[root].pair = (uint8_t)(scene->side[A].state << 4 | scene->side[B].state);
    return true;
}

static void end(struct search *s)
{
    for (unsigned i = 0; i < s->threads; i++) {
        struct worker *w = &s->worker[i];
        if (w->marks != NULL)
            marks_free(w->marks);
        if (w->duo != NULL)
            duo_free(w->duo);
        free(w->out);
    }
    store_free(&s->store);
}

static void count(struct search *s)
{
    struct search_result *r = s->result;
    uint32_t path[DEPTH_MOST];
    r->states = s->store.n;
    r->expanded = s->next;
    r->depth = path_of(&s->store, s->store.n - 1, path) - 1; /* found last: as far away as any */
    for (uint32_t i = 0; i < s->store.n; i++) {
        const struct node *n = &s->store.node[i];
        r->pairs[n->pair >> 4][n->pair & 15]++;
        r->over += n->flags & NODE_OVER;
    }
    for (unsigned i = 0; i < s->threads; i++)
        for (int k = 0; k < 4; k++)
            r->edges[k] |= s->worker[i].duo->edges[k];
}

struct search_result *search(const struct search_config *config)
{
    struct search *s = calloc(1, sizeof *s);
    struct search_result *r = calloc(1, sizeof *r);
    if (s == NULL || r == NULL) {
        free(s);
        free(r);
        return NULL;
    }
    s->config = config;
    s->result = r;
    bool ready = begin(s);
    trap_begin();
    bool ok = ready;
    while (ok && goes_on(s))
        ok = one_round(s);
    trap_end();
    r->no_memory = !ok;
    if (ready) {
        judge_endings(s);
        r->complete = ok && s->next == s->store.n && !r->no_memory;
        count(s);
    }
    end(s);
    free(s);
    return r;
}
