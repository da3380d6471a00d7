/* oracle.h - judges what happened in a world, from the wire and the programs' calls alone.
 *
 *     log of the world ─▶ LOG_SENT     ─▶ may this host send this?        (model_sent.c)
 *                         LOG_ARRIVED  ─▶ what must its state be now?     (model_arrive.c)
 *                         LOG_CALL     ─▶ is this result the right one?   (model_call.c)
 *                         LOG_STATE    ─▶ not looked at; compared with the model when all is judged
 *
 * So a stack that does the wrong thing is found out even when it reports the right thing, and a stack that
 * reports the wrong thing is found out even when it does the right thing.
 */
#ifndef SIM_ORACLE_H
#define SIM_ORACLE_H

#include "model.h"

struct verdict {
    bool ok;
    uint32_t segments;  /* judged: sent by stacks */
    uint32_t calls;
    uint32_t states;    /* state changes that agree with the model */
    uint32_t n_complaints;
    char complaint[COMPLAINTS][COMPLAINT_LEN];
    struct transition *transitions; /* what the model saw */
    uint32_t n_transitions;
};

/* Judge the whole log. */
void oracle_judge(const struct world *w, struct verdict *v);
void verdict_free(struct verdict *v);

#endif
