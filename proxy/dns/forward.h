/* Asking the host's own resolvers, and remembering for a short while what they said.
 *
 * The servers are those of resolv.conf, read again when the file has changed (looked at, at most
 * every 5 s, when a question comes). Each question goes out from a socket of its own (so: from a
 * port of its own, with a random id), first by UDP; 2 s later, or when a server refuses, to the next.
 * Equal questions in flight are asked once: should an upstream lead back to us, the circle ends there.
 */
#pragma once

#include "../../lib/loop/loop.h"
#include "message.h"

struct dns_forward;

#define DNS_SERVERS_MAX 8
#define DNS_SERVER_TEXT 64
struct dns_servers {
        char addresses[DNS_SERVERS_MAX][DNS_SERVER_TEXT];
        size_t n;
};
/* The nameserver lines of a resolv.conf, without OWN (our address: NULL, none). */
void dns_servers_parse(const char *text, const char *own, struct dns_servers *ret);

struct dns_forward_options {
        const char *resolv_conf; /* NULL: /etc/resolv.conf */
        const char *own;         /* our address: no upstream of ours */
        uint16_t port;           /* 0: 53 */
        int64_t timeout_ns;      /* of one try; 0: 2 s */
        size_t max_in_flight;    /* 0: 256 */
        size_t max_cached;       /* answers; 0: 1024 */
};
struct dns_forward *dns_forward_new(struct loop *loop, const struct dns_forward_options *o);
void dns_forward_free(struct dns_forward *f); /* those who wait are called with NULL */

/* REPLY is borrowed during the call; its TTLs count down from when it came. NULL: no server, none that
 * answered, or too many questions in flight. */
typedef void dns_forward_fn(const struct dns_message *reply, void *userdata);
/* Calls FN once, maybe before it returns. WHOLE: a truncated answer is asked for again by TCP. */
void dns_forward_ask(struct dns_forward *f, const uint8_t *qname, const struct dns_message *query, bool whole,
                     dns_forward_fn *fn, void *userdata);

/* Whether REPLY answers QUESTION: the same question, and a response. For the fuzzer, too. */
bool dns_reply_fits(const struct dns_message *question, const struct dns_message *reply, int read_result);
