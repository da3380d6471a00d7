/* scenario.c - the table of scenarios, in the order of the story. One needs a JSON library
 * (scene_close_wait.c): builds for machines without one leave it out (ports/). */
#include "scenes.h"

#include <string.h>

static const struct scenario table[] = {
    {"handshake", "three steps open a connection",
     "The client sends SYN with a random seq = x; the server answers SYN,ACK with seq = y, ack = x + 1; "
     "the client sends ACK with seq = x + 1, ack = y + 1. A SYN carries no data and yet takes one number. "
     "Why three: each side's number must be acknowledged, and the second step does both jobs of the server "
     "at once.",
     "An ack field counts only when ACK = 1. A SYN with ACK = 0 and something in that field is a normal SYN.",
     scene_handshake},
    {"data-on-ack", "the third segment may carry data",
     "The third segment of the handshake may already carry data; if it does not, it takes no sequence "
     "number.",
     NULL, scene_data_on_ack},
    {"transfer", "data both ways at once",
     "Full duplex: both programs may send at any time. ack = N means that everything up to N - 1 has "
     "arrived.",
     NULL, scene_transfer},
    {"lend", "bytes that nobody copies",
     "Not in the articles. A relay passes on what it receives. Between the networks and the programs the "
     "bytes need not be copied at all: the sender lends its memory, received bytes stay where the network "
     "put them, and the relay moves references.",
     "A sender must leave its memory alone until the peer has acknowledged what lies there (RFC 9293 3.8.1: "
     "it may have to be sent again).",
     scene_lend},
    {"close", "four steps close a connection",
     "FIN with seq = u; ACK with ack = u + 1, seq = v; FIN,ACK with seq = w; ACK with seq = u + 1, ack = w "
     "+ 1. A FIN takes one number even without data. Why four: each direction is closed by itself, and the "
     "other side may still have something to send.",
     "u and w are no random numbers, as one article says: they follow the last byte sent. Only initial "
     "numbers are random.",
     scene_close},
    {"half-close", "one direction closed, the other in use",
     "After the first two steps one direction is closed. The passive side may go on sending and the active "
     "side must take it; it cannot send data any more, only acknowledgments.",
     NULL, scene_half_close},
    {"three-step-close", "the second and the third step in one",
     "In FIN_WAIT_1 a segment with both FIN and ACK leads straight to TIME_WAIT, without FIN_WAIT_2: the "
     "passive side had nothing left to send.",
     NULL, scene_three_step_close},
    {"simultaneous-close", "FIN crosses FIN",
     "Both sides close at nearly the same time: FIN crosses FIN, both go to CLOSING and then to TIME_WAIT. "
     "Rare.",
     NULL, scene_simultaneous_close},
    {"closing-lost-ack", "when does CLOSING come?",
     "One article: CLOSING also comes when the ACK of our FIN was lost.",
     "By RFC 9293 that is not so: the peer's FIN acknowledges ours as well, and FIN_WAIT_1 leads to "
     "TIME_WAIT (a). CLOSING comes when the peer's FIN does not acknowledge ours: because ours was lost "
     "(b), or because they crossed (c).",
     scene_closing_lost_ack},
    {"simultaneous-open", "SYN crosses SYN",
     "Not in the articles; RFC 9293 figure 7. Both sides open actively, and one connection comes of it.",
     "The SYN,ACK bears the initial number again (MUST-10), so its own number is old on arrival; what it "
     "acknowledges must count nevertheless (RFC 9293 appendix A.2).",
     scene_simultaneous_open},
    {"old-syn", "a connection request of the past",
     "A connection request of the past arrives late. That is why there are three steps and not two: with "
     "two the server would be open now, for nobody.",
     "RFC 9293 figure 8 for a listener; RFC 6191 and RFC 1337 for TIME_WAIT.", scene_old_syn},
    {"lost-last-ack", "the last ACK is lost",
     "The side in LAST_ACK repeats its FIN; the side in TIME_WAIT answers again and starts its 2 MSL anew; "
     "both end in CLOSED. That is what TIME_WAIT is for.",
     "One article says \"within 1 MSL\". It is the retransmission timeout (RFC 6298), far shorter.",
     scene_lost_last_ack},
    {"time-wait", "2 MSL",
     "TIME_WAIT lasts 2 MSL: time for the last ACK and for a repeated FIN to arrive, and for every old "
     "segment to die. MSL is two minutes by the standard, and implementations may choose less. The passive "
     "side is CLOSED earlier.",
     "tern's default is 30 s, so 2 MSL = 60 s, as in Linux; tern_config.msl_ms sets it.", scene_time_wait},
    {"old-duplicate", "data of an earlier connection",
     "A segment of an earlier connection between the same addresses and ports arrives late. It must not "
     "reach the new connection; after 2 MSL it cannot exist.",
     NULL, scene_old_duplicate},
    {"port-reuse", "the same ports while TIME_WAIT lasts",
     "While TIME_WAIT lasts the same pair of ports cannot simply be opened again.",
     "Our own open is refused. The peer's new SYN is accepted when it is certain to be new: by its "
     "timestamp (RFC 6191) or by its number (RFC 9293 3.6.1). An old one draws an ACK.",
     scene_port_reuse},
#ifndef WITHOUT_JANSSON
    {"close-wait", "a program that never closes",
     "A program that reads the end of the stream and never closes leaves its side in CLOSE_WAIT and the "
     "other in FIN_WAIT_2.",
     "No timer may end CLOSE_WAIT: the program may still want to send. It has to close.", scene_close_wait},
#endif
    {"syn-rcvd", "a state that is hard to see",
     "SYN_RCVD is so short that netstat hardly shows it, unless a test client withholds the last ACK.", NULL,
     scene_syn_rcvd},
    {"syn-flood", "100,000 requests that nobody made",
     "The server pays at the second step and the client only at the third: that is what a SYN flood uses.",
     NULL, scene_syn_flood},
    {"reset", "RST", "RST resets the connection: refused, aborted, or unknown to the peer.",
     "A reset must bear the exact number to be believed (RFC 9293 3.5.3, RFC 5961).", scene_reset},
    {"peer-gone", "a peer that vanishes", "Watching for a broken connection: the peer vanishes without FIN.",
     NULL, scene_peer_gone},
    {"fin-wait-1", "FIN_WAIT_1, held open",
     "A short state: it lasts only while the ACK of our FIN is missing.", NULL, scene_fin_wait_1},
    {"last-ack", "LAST_ACK, held open",
     "A short state on the passive side: it lasts only while the last ACK is missing.", NULL, scene_last_ack},
    {"states", "all eleven states",
     "netstat shows eleven states. CLOSED is none of them in most systems: here it is a handle that its "
     "program has not released yet.",
     NULL, scene_states},
    {NULL, NULL, NULL, NULL, NULL},
};

const struct scenario *scenarios(void)
{
    return table;
}

const struct scenario *scenario_find(const char *name)
{
    for (const struct scenario *s = table; s->name != NULL; s++)
        if (strcmp(s->name, name) == 0)
            return s;
    return NULL;
}
