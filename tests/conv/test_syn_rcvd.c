/* SYN_RCVD of a listener: what a segment must have before it completes the handshake, and what it draws
 * otherwise (RFC 9293 3.10.7.4, RFC 5961 7, RFC 7323 3.2 and 5.3). */
#include "lab/lab.h"

static struct lab *with_stamps(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "< S 0 win 65535 <mss 1460,ts 1000>\n"
            "> SA 0 ack 1 <mss *,ts ecr 1000>");
    return l;
}

/* RFC7323-3.2-i: timestamps were agreed; a segment without them is dropped in silence. */
static void stamp_missing(void **state)
{
    struct lab *l = with_stamps(state);
    TALK(l, "< A 1 ack 1 <nots>\n"
            "> none\n"
            "= SYN_RCVD\n"
            "accept -> EAGAIN\n"
            "< A 1 ack 1 <ts 1001 ecr 0>\n"
            "= ESTABLISHED");
    lab_end(l);
}

/* RFC7323-5.3-a, RFC7323-5.3-c: an older one than the SYN's is refused, with an ACK. */
static void stamp_old(void **state)
{
    struct lab *l = with_stamps(state);
    TALK(l, "< A 1 ack 1 <ts 999 ecr 0>\n"
            "> A 1 ack 1\n"
            "= SYN_RCVD\n"
            "accept -> EAGAIN\n"
            "< A 1 ack 1 <ts 1000 ecr 0>\n"
            "= ESTABLISHED");
    lab_end(l);
}

/* RFC5961-7-a: one challenge ACK for each SYN+ACK that left by itself, however many segments ask for one. */
static void challenges(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1\n"
            "< R 100\n"
            "> A 1 ack 1\n"
            "< R 101\n"
            "< A 2000000 ack 1\n"
            "> none\n"
            "+1s > SA 0 ack 1\n"
            "< R 100\n"
            "> A 1 ack 1\n"
            "< R 101\n"
            "> none\n"
            "= SYN_RCVD");
    lab_end(l);
}

/* Our ISS of a connection, learned from a stack that does the same at the same time. */
static uint32_t iss_of_a_twin(void **state)
{
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen\n"
            "< S 0 win 65535 <mss 1460>\n"
            "> SA 0 ack 1");
    uint32_t iss = l->flow[0].iss;
    lab_end(l);
    return iss;
}

/* 3.10.7.4 fifth: before our SYN+ACK has left nothing of ours can be acknowledged, though the number be
 * right: a SYN and a guessed ACK in one batch. */
static void ack_before_our_syn(void **state)
{
    uint32_t iss = iss_of_a_twin(state);
    struct lab *l = lab_new(state, NULL);
    TALK(l, "listen");
    TALKF(l, "<+ S 0 win 65535 <mss 1460>\n"
             "< A 1 ack =%u",
          iss + 1);
    TALKF(l, "> R =%u", iss + 1);
    TALK(l, "> SA 0 ack 1\n"
            "= SYN_RCVD");
    lab_end(l);
}

/* A full accept queue: the last ACK of a handshake that was begun before is not taken, and the peer tries
 * again. */
static void accept_queue_full(void **state)
{
    struct lab *l = lab_new(state, NULL);
    tern_endpoint any = {.port = l->flow[0].local.port};
    assert_int_equal(tern_listen(l->t, &any, 2, &l->listener), 0);
    for (int i = 0; i < 2; i++)
        TALKF(l, "%d< S 0 win 65535 <mss 1460>\n%d> SA 0 ack 1", i, i);
    TALK(l, "0< A 1 ack 1\n"
            "2< S 0 win 65535 <mss 1460>\n"
            "2> SA 0 ack 1\n"
            "1< A 1 ack 1\n"
            "0= ESTABLISHED\n"
            "1= ESTABLISHED\n"
            "2< A 1 ack 1\n"
            "2> none\n"
            "2= SYN_RCVD\n"
            "0 accept\n"
            "2< A 1 ack 1\n"
            "2= ESTABLISHED");
    lab_end(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(stamp_missing),      LAB_TEST(stamp_old),         LAB_TEST(challenges),
        LAB_TEST(ack_before_our_syn), LAB_TEST(accept_queue_full),
    };
    return LAB_MAIN(tests);
}
