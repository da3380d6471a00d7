/* capture_text.h - what the stack decided about one packet, in sentences: the comment that the packet has in
 * a capture. Made of the trace records of that packet (tern_rx_packet.trace, tern_tx_packet.trace).
 *
 *     "Connection 3 in ESTABLISHED. Taken. ESTABLISHED → CLOSE_WAIT: FIN: the peer has closed and will send
 *     no more [FIN_RCVD, RFC 9293 3.10.7.4 eighth]."
 */
#ifndef HOST_CAPTURE_TEXT_H
#define HOST_CAPTURE_TEXT_H

#include <tern/host.h>

enum { CAPTURE_TEXT = 2048, CAPTURE_NOTES = 64 };

/* What happened between packets and explains one that is still to be sent: calls that changed a state,
 * timers. The oldest gives way. */
struct capture_notes {
    tern_trace_record v[CAPTURE_NOTES];
    uint32_t n;
};

/* Keep a record that belongs to no packet, if it tells anything. */
void capture_note(struct capture_notes *notes, const tern_trace_record *r);

/* Say what became of a received packet. `records`: those of this packet, all of them if `whole`. */
void capture_say_received(char text[CAPTURE_TEXT], const tern_rx_packet *pkt,
                          const tern_trace_record *records, uint32_t n, bool whole);

/* Say why a packet was sent. Its notes are used up; records of other connections are noted. */
void capture_say_sent(char text[CAPTURE_TEXT], struct capture_notes *notes, const tern_trace_record *records,
                      uint32_t n, bool whole);

/* "192.0.2.1:80", "[2001:db8::1]:80". */
const char *capture_place(const tern_ip *ip, uint16_t port, char buf[64]);

#endif
