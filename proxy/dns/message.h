/* DNS messages (RFC 1035, EDNS0 of RFC 6891): bytes to a struct and back.
 *
 * Names are kept in wire form without compression, ended by the root label, so that any byte in a
 * label survives; compared without regard to ASCII case. All of a message lives in an arena, or is
 * borrowed from another message whose arena outlives it.
 */
#pragma once

#include "../../lib/base/arena.h"
#include "../../lib/base/error.h"

enum dns_type {
        DNS_A = 1,
        DNS_NS = 2,
        DNS_CNAME = 5,
        DNS_SOA = 6,
        DNS_PTR = 12,
        DNS_MX = 15,
        DNS_TXT = 16,
        DNS_AAAA = 28,
        DNS_SRV = 33,
        DNS_OPT = 41,
        DNS_IXFR = 251,
        DNS_AXFR = 252,
        DNS_ANY = 255,
};

enum dns_rcode {
        DNS_NOERROR = 0,
        DNS_FORMERR = 1,
        DNS_SERVFAIL = 2,
        DNS_NXDOMAIN = 3,
        DNS_NOTIMP = 4,
        DNS_REFUSED = 5,
        DNS_BADVERS = 16,
};

#define DNS_CLASS_IN 1
#define DNS_NAME_MAX 255      /* bytes on the wire, root label included */
#define DNS_LABELS_MAX 128
#define DNS_TEXT_MAX 1024     /* each byte of a name may become \DDD, and a NUL */
#define DNS_UDP_SIZE 1232     /* what we send and take by UDP: fits any path unfragmented */
#define DNS_MESSAGE_MAX 65535

#define DNS_FLAG_QR 0x8000
#define DNS_FLAG_AA 0x0400
#define DNS_FLAG_TC 0x0200
#define DNS_FLAG_RD 0x0100
#define DNS_FLAG_RA 0x0080
#define DNS_FLAG_AD 0x0020
#define DNS_FLAG_CD 0x0010
#define DNS_OPCODE(flags) (((flags) >> 11) & 15)

struct dns_rr {
        const uint8_t *name;
        uint16_t type, class;
        uint32_t ttl; /* s */
        uint16_t len;
        const uint8_t *data; /* names in it are uncompressed */
};

struct dns_rrs {
        struct dns_rr *items;
        size_t n, cap;
};

enum { DNS_ANSWER, DNS_AUTHORITY, DNS_ADDITIONAL, DNS_SECTIONS };

struct dns_message {
        uint16_t id;
        uint16_t flags;  /* without the rcode */
        uint16_t rcode;  /* all 12 bits */
        const uint8_t *qname; /* NULL: no question */
        uint16_t qtype, qclass;
        struct dns_rrs sections[DNS_SECTIONS]; /* without OPT, which is what follows */
        bool edns, dnssec_ok;
        uint8_t edns_version;
        uint16_t udp_size; /* what the sender takes; 512 without EDNS */
};

/* --- names --- */
size_t dns_name_len(const uint8_t *name); /* bytes, root label included */
bool dns_name_equal(const uint8_t *x, const uint8_t *y);
/* "a.b" or "a.b."; NULL when a label is empty or over 63 bytes, or the name over 255. */
const uint8_t *dns_name_parse(struct arena *a, const char *text);
/* Lower case, no dot at the end, odd bytes as \DDD. Returns BUF. */
char *dns_name_text(const uint8_t *name, char buf[DNS_TEXT_MAX]);
/* Where each label (its length byte) begins; the root is not counted. */
size_t dns_name_labels(const uint8_t *name, const uint8_t *ret[DNS_LABELS_MAX]);

/* --- messages --- */
/* 0; DNS_FORMERR: the header, and with it id and flags, was readable, the rest is not all there;
 * -EBADMSG: not even a header. No question or several are DNS_FORMERR. */
int dns_message_read(struct arena *a, const uint8_t *data, size_t len, struct dns_message *ret);
/* Writes at most MAX (>= 512) bytes to BUF and returns how many. What does not fit is left out: TC is
 * then set, except when only the additional section was cut. */
size_t dns_message_write(const struct dns_message *m, uint8_t *buf, size_t max);
/* Appends and returns the record; DATA is borrowed. */
struct dns_rr *dns_message_add(struct arena *a, struct dns_message *m, unsigned section, struct dns_rr rr);
/* The header and question of an answer to QUERY; our own OPT when QUERY had one. */
void dns_message_reply(const struct dns_message *query, struct dns_message *ret);
/* A deep copy in A of all but the question's name. */
void dns_message_copy_sections(struct arena *a, struct dns_message *to, const struct dns_message *from);
