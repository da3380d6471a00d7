/* planted.h - faults that are built into the core at run time, one at a time (the linker puts planted.c
 * between the core's files: --wrap in tests/meson.build). */
#ifndef EXPLORE_PLANTED_H
#define EXPLORE_PLANTED_H

enum planted {
    PLANTED_NONE,
    PLANTED_FIN_NOT_ACKED,  /* the peer's FIN is never acknowledged for its own sake */
    PLANTED_NO_TIME_WAIT,   /* a connection ends at once instead of waiting 2 MSL */
    PLANTED_WRONG_BYTE,     /* received bytes are changed */
    PLANTED_SILENT_PORT,    /* a closed port draws no RST */
    PLANTED_NOT_RELEASED,   /* the program's close does not let go of the record */
    PLANTED_NOT_REPEATED,   /* what is lost is not sent again */
    PLANTED_FIN_TOO_SOON,   /* a FIN counts though bytes before it are missing */
    PLANTED_ACKS_TOO_MUCH,  /* RCV.NXT moves further than what came */
    PLANTED_CHATTER,        /* challenge ACKs without limit, to ACKs in order too */
    PLANTED_MOST
};

extern enum planted planted; /* PLANTED_NONE at first; not to be changed while a search runs */

#endif
