/* scene_close_wait.c - a program that never closes, and what `tern ss` says of it.
 *
 * The one scenario that needs the sentences of host/why.c and so a JSON library: builds without one leave
 * this file out, with -DWITHOUT_JANSSON (scenario.c).
 */
#include "scenes.h"

#include "host/info_json.h"
#include "host/why.h"

#include <jansson.h>
#include <string.h>

#define TO_ESTABLISHED_A TERN_CLOSED, TERN_SYN_SENT, TERN_ESTABLISHED
#define TO_ESTABLISHED_B TERN_LISTEN, TERN_SYN_RCVD, TERN_ESTABLISHED

enum { SECOND = 1000000 };

/* What `tern ss` says about an end. */
static void say_why(struct play *p, const struct end *e, tern_why *why)
{
    tern_info info;
    *why = (tern_why){.verdict = "", .owes = ""};
    if (!prog_info(e, &info))
        return;
    json_t *json = tern_info_json(&info);
    tern_why_say(json, p->w.now, why);
    json_decref(json);
    char since[32];
    line(p, "tern ss at %s: %s for %s. The next step is owed by %s. %s", p->w.host[e->host].name,
         tern_state_name((enum tern_state)info.state), tern_why_span(p->w.now - info.state_since_us, since),
         why->owes, why->text);
}

void scene_close_wait(struct play *p)
{
    struct pair c;
    tern_why why;
    play_part(p, "", "a program that never closes", NULL);
    if (!open_pair(p, &c))
        return;
    prog_shutdown(c.a);
    if (!reaches(p, c.a, TERN_FIN_WAIT_2))
        return;
    prog_read(c.b);
    remark(p, B, "B's program reads the end of the stream and forgets to close");
    uint64_t since = c.b->told_us[4];
    pass(p, 3600ull * SECOND);
    remark(p, OUTSIDE, "an hour later");
    promise(p, prog_state(c.b) == TERN_CLOSE_WAIT && prog_state(c.a) == TERN_FIN_WAIT_2,
            "an hour later B is still in CLOSE_WAIT and A in FIN_WAIT_2: no timer ends this");
    tern_info info = {0};
    prog_info(c.b, &info);
    promise(p, info.eof_read && info.state_since_us == since && info.eof_us == since,
            "B knows since when, and that its program has read the end");
    say_why(p, c.b, &why);
    promise(p, strcmp(why.owes, "this program") == 0, "tern ss at B says who owes the close: this program");
    say_why(p, c.a, &why);
    promise(p, strcmp(why.owes, "the other side") == 0,
            "tern ss at A says who owes the close: the other side");
    prog_close(c.b);
    remark(p, B, "B's program closes at last");
    settle(p);
    prog_read(c.a);
    prog_close(c.a);
    reaches(p, c.a, TERN_CLOSED);
    goes(p, c.a, TO_ESTABLISHED_A, TERN_FIN_WAIT_1, TERN_FIN_WAIT_2, TERN_TIME_WAIT, TERN_CLOSED);
    goes(p, c.b, TO_ESTABLISHED_B, TERN_CLOSE_WAIT, TERN_LAST_ACK, TERN_CLOSED);
}
