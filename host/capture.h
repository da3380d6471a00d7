/* capture.h - a capture as the event loop sees it: it is told of trace records, then of the packets that they
 * belong to. */
#ifndef HOST_CAPTURE_H
#define HOST_CAPTURE_H

#include <tern/host.h>

struct capture;

/* The record with this number (counted since the stack was made) was taken from the ring. */
void capture_record(struct capture *c, uint64_t number, const tern_trace_record *r);

/* Write packets that were received (after tern_rx) or handed to a link (after tern_tx), once all trace
 * records of that call were told. `refused`: a bit for each packet that its link did not take. */
void capture_received(struct capture *c, uint64_t now, const tern_rx_packet *pkts, int n);
void capture_sent(struct capture *c, uint64_t now, const tern_tx_packet *pkts, int n, uint64_t refused);

/* Write what is ready; forget records that belong to no packet. At the end of every turn. */
void capture_flush(struct capture *c);

void capture_end(struct capture *c);

#endif
