/* Reading and writing DNS messages.
 *
 * Reading trusts nothing: compression pointers must point backwards, and only so often; each record
 * must end where its length says. Names inside the data of the types that RFC 1035 and RFC 3597 let
 * others compress are expanded, driven by a small layout string a type, so that a record can be
 * copied into another message. Records of all other types are opaque bytes.
 */
#include "message.h"

#include <stdio.h>

#define HEADER 12
#define OPT_SIZE 11
#define POINTERS_MAX 64 /* in one name; honest ones have one or two */
#define SUFFIXES_MAX 96 /* remembered for compression */

/* --- names --- */

static inline uint8_t lower(uint8_t c)
{
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

size_t dns_name_len(const uint8_t *name)
{
        size_t n = 0;

        while (name[n])
                n += name[n] + 1u;
        return n + 1;
}

bool dns_name_equal(const uint8_t *x, const uint8_t *y)
{
        size_t n = dns_name_len(x);

        if (n != dns_name_len(y))
                return false;
        for (size_t i = 0; i < n; i++) /* length bytes are below 64, letters are not: one loop does */
                if (lower(x[i]) != lower(y[i]))
                        return false;
        return true;
}

const uint8_t *dns_name_parse(struct arena *a, const char *text)
{
        size_t len = strlen(text), at = 0;
        uint8_t *name;

        if (len && text[len - 1] == '.')
                len--;
        if (len + 2 > DNS_NAME_MAX)
                return NULL;
        name = arena_calloc(a, len + 2);
        for (size_t i = 0; i < len;) {
                size_t n = 0;

                while (i + n < len && text[i + n] != '.')
                        n++;
                if (!n || n > 63 || i + n + 1 == len) /* the last: "a.." */
                        return NULL;
                name[at++] = (uint8_t)n;
                memcpy(name + at, text + i, n);
                at += n;
                i += n + 1;
        }
        return name;
}

char *dns_name_text(const uint8_t *name, char buf[DNS_TEXT_MAX])
{
        size_t at = 0;

        while (*name) {
                if (at)
                        buf[at++] = '.';
                for (unsigned i = 1; i <= *name; i++) {
                        uint8_t c = lower(name[i]);

                        if (c > ' ' && c < 127 && c != '.' && c != '\\')
                                buf[at++] = (char)c;
                        else
                                at += (size_t)snprintf(buf + at, DNS_TEXT_MAX - at, "\\%03u", c);
                }
                name += *name + 1;
        }
        buf[at] = '\0';
        return buf;
}

size_t dns_name_labels(const uint8_t *name, const uint8_t *ret[DNS_LABELS_MAX])
{
        size_t n = 0;

        for (; *name && n < DNS_LABELS_MAX; name += *name + 1)
                ret[n++] = name;
        return n;
}

/* --- reading --- */

struct reader {
        struct arena *arena;
        const uint8_t *data;
        size_t len, at;
};

static bool read_u16(struct reader *r, uint16_t *ret)
{
        if (r->len - r->at < 2)
                return false;
        *ret = (uint16_t)(r->data[r->at] << 8 | r->data[r->at + 1]);
        r->at += 2;
        return true;
}

static bool read_u32(struct reader *r, uint32_t *ret)
{
        uint16_t hi, lo;

        if (!read_u16(r, &hi) || !read_u16(r, &lo))
                return false;
        *ret = (uint32_t)hi << 16 | lo;
        return true;
}

/* Expands the name at r->at into BUF and moves behind it. A pointer must lead to before where the
 * part that holds it began, so there is no way round in a circle. */
static bool expand_name(struct reader *r, uint8_t buf[DNS_NAME_MAX], size_t *ret_len)
{
        size_t at = r->at, start = r->at, n = 0;
        unsigned pointers = 0;

        for (;;) {
                uint8_t c;

                if (at >= r->len)
                        return false;
                c = r->data[at];
                if (c >= 0xc0) {
                        size_t to;

                        if (at + 1 >= r->len || ++pointers > POINTERS_MAX)
                                return false;
                        to = (size_t)(c & 0x3f) << 8 | r->data[at + 1];
                        if (pointers == 1)
                                r->at = at + 2;
                        if (to >= start)
                                return false;
                        at = start = to;
                        continue;
                }
                if (c > 63 || n + c + 1u > DNS_NAME_MAX || at + c >= r->len)
                        return false;
                memcpy(buf + n, r->data + at, c + 1u);
                n += c + 1u;
                at += c + 1u;
                if (!c)
                        break;
        }
        if (!pointers)
                r->at = at;
        *ret_len = n;
        return true;
}

/* The same name as the one before (the question's, mostly) costs nothing. */
static const uint8_t *read_name(struct reader *r, const uint8_t *same)
{
        uint8_t buf[DNS_NAME_MAX];
        size_t n;

        if (!expand_name(r, buf, &n))
                return NULL;
        if (same && dns_name_len(same) == n && memcmp(same, buf, n) == 0)
                return same;
        return arena_memdup(r->arena, buf, n);
}

/* Data of the types whose names may come compressed: n a name, s a counted string, a digit so many
 * bytes. `pack`: names in it may be compressed by us, too (only the types of RFC 1035 may). */
static const struct layout {
        uint16_t type;
        bool pack;
        const char *parts;
} layouts[] = {
        { DNS_NS, true, "n" },   { 3, true, "n" },         { 4, true, "n" },     { DNS_CNAME, true, "n" },
        { DNS_SOA, true, "nn44444" }, { 7, true, "n" },    { 8, true, "n" },     { 9, true, "n" },
        { DNS_PTR, true, "n" },  { 14, true, "nn" },       { DNS_MX, true, "2n" }, { 17, false, "nn" },
        { 18, false, "2n" },     { 21, false, "2n" },      { 26, false, "2nn" }, { DNS_SRV, false, "222n" },
        { 35, false, "4sssn" },  { 36, false, "2n" },      { 39, false, "n" },
};

static const struct layout *find_layout(uint16_t type)
{
        for (size_t i = 0; i < ARRAY_SIZE(layouts); i++)
                if (layouts[i].type == type)
                        return &layouts[i];
        return NULL;
}

static size_t part_size(char part)
{
        return (size_t)(part - '0');
}

/* LEN bytes at r->at, of a type with names in it. */
static bool read_laid_out(struct reader *r, const struct layout *l, size_t len, struct dns_rr *rr)
{
        struct reader in = { r->arena, r->data, r->at + len, r->at };
        uint8_t buf[3 * DNS_NAME_MAX + 1024];
        size_t n = 0;

        for (const char *p = l->parts; *p; p++) {
                size_t size;

                if (*p == 'n') {
                        if (!expand_name(&in, buf + n, &size))
                                return false;
                        n += size;
                        continue;
                }
                if (*p == 's' && in.at >= in.len)
                        return false;
                size = *p == 's' ? in.data[in.at] + 1u : part_size(*p);
                if (in.len - in.at < size)
                        return false;
                memcpy(buf + n, in.data + in.at, size);
                n += size;
                in.at += size;
        }
        if (in.at != in.len)
                return false;
        rr->data = arena_memdup(r->arena, buf, n);
        rr->len = (uint16_t)n;
        return true;
}

static bool read_rr(struct reader *r, const uint8_t *same, struct dns_rr *ret)
{
        const struct layout *l;
        uint16_t len;

        ret->name = read_name(r, same);
        if (!ret->name || !read_u16(r, &ret->type) || !read_u16(r, &ret->class) || !read_u32(r, &ret->ttl) ||
            !read_u16(r, &len) || r->len - r->at < len)
                return false;
        if (ret->ttl > INT32_MAX && ret->type != DNS_OPT)
                ret->ttl = 0; /* RFC 2181, 8 */
        l = find_layout(ret->type);
        if (l && len) {
                if (!read_laid_out(r, l, len, ret))
                        return false;
        } else {
                ret->data = arena_memdup(r->arena, r->data + r->at, len);
                ret->len = len;
        }
        r->at += len;
        return true;
}

static int take_opt(struct dns_message *m, const struct dns_rr *rr)
{
        if (m->edns || *rr->name)
                return DNS_FORMERR;
        m->edns = true;
        m->udp_size = MAX(rr->class, 512);
        m->rcode |= (uint16_t)(rr->ttl >> 24 << 4);
        m->edns_version = (uint8_t)(rr->ttl >> 16);
        m->dnssec_ok = rr->ttl & 0x8000;
        return 0;
}

static int read_sections(struct reader *r, const uint16_t counts[DNS_SECTIONS], struct dns_message *m)
{
        for (unsigned s = 0; s < DNS_SECTIONS; s++)
                for (unsigned i = 0; i < counts[s]; i++) {
                        struct dns_rr rr;

                        if (!read_rr(r, m->qname, &rr))
                                return DNS_FORMERR;
                        if (rr.type != DNS_OPT)
                                dns_message_add(r->arena, m, s, rr);
                        else if (s != DNS_ADDITIONAL || take_opt(m, &rr) != 0)
                                return DNS_FORMERR;
                }
        return 0;
}

int dns_message_read(struct arena *a, const uint8_t *data, size_t len, struct dns_message *ret)
{
        struct reader r = { a, data, len, 0 };
        uint16_t flags, questions, counts[DNS_SECTIONS];

        if (len < HEADER || len > DNS_MESSAGE_MAX)
                return -EBADMSG;
        *ret = (struct dns_message){ .udp_size = 512 };
        read_u16(&r, &ret->id);
        read_u16(&r, &flags);
        read_u16(&r, &questions);
        for (unsigned s = 0; s < DNS_SECTIONS; s++)
                read_u16(&r, &counts[s]);
        ret->rcode = flags & 15;
        ret->flags = flags & 0xfff0;
        if (questions != 1)
                return DNS_FORMERR;
        ret->qname = read_name(&r, NULL);
        if (!ret->qname || !read_u16(&r, &ret->qtype) || !read_u16(&r, &ret->qclass)) {
                ret->qname = NULL;
                return DNS_FORMERR;
        }
        return read_sections(&r, counts, ret);
}

/* --- making --- */

struct dns_rr *dns_message_add(struct arena *a, struct dns_message *m, unsigned section, struct dns_rr rr)
{
        struct dns_rrs *rrs = &m->sections[section];

        if (rrs->n == rrs->cap) {
                struct dns_rr *more;

                rrs->cap = rrs->cap ? rrs->cap * 2 : 4;
                more = arena_alloc(a, rrs->cap * sizeof(*more));
                if (rrs->n)
                        memcpy(more, rrs->items, rrs->n * sizeof(*more));
                rrs->items = more;
        }
        rrs->items[rrs->n] = rr;
        return &rrs->items[rrs->n++];
}

void dns_message_reply(const struct dns_message *query, struct dns_message *ret)
{
        *ret = (struct dns_message){
                .id = query->id,
                .flags = (uint16_t)(DNS_FLAG_QR | DNS_FLAG_RA |
                                    (query->flags & (0x7800 | DNS_FLAG_RD | DNS_FLAG_CD))),
                .qname = query->qname, .qtype = query->qtype, .qclass = query->qclass,
                .edns = query->edns, .dnssec_ok = query->dnssec_ok, .udp_size = DNS_UDP_SIZE,
        };
}

void dns_message_copy_sections(struct arena *a, struct dns_message *to, const struct dns_message *from)
{
        for (unsigned s = 0; s < DNS_SECTIONS; s++)
                for (size_t i = 0; i < from->sections[s].n; i++) {
                        struct dns_rr rr = from->sections[s].items[i];

                        if (from->qname && dns_name_equal(rr.name, from->qname))
                                rr.name = to->qname;
                        else
                                rr.name = arena_memdup(a, rr.name, dns_name_len(rr.name));
                        rr.data = arena_memdup(a, rr.data, rr.len);
                        dns_message_add(a, to, s, rr);
                }
}

/* --- writing --- */

struct writer {
        uint8_t *buf;
        size_t len, max;
        bool full;
        struct {
                const uint8_t *name; /* a suffix */
                uint16_t at;
        } suffixes[SUFFIXES_MAX];
        size_t n_suffixes;
};

static void put(struct writer *w, const void *data, size_t len)
{
        if (w->max - w->len < len) {
                w->full = true;
                return;
        }
        if (len)
                memcpy(w->buf + w->len, data, len);
        w->len += len;
}

static void put_u16(struct writer *w, unsigned v)
{
        uint8_t b[2] = { (uint8_t)(v >> 8), (uint8_t)v };

        put(w, b, 2);
}

static void put_u32(struct writer *w, uint32_t v)
{
        put_u16(w, v >> 16);
        put_u16(w, v & 0xffff);
}

static bool put_pointer(struct writer *w, const uint8_t *name)
{
        for (size_t i = 0; i < w->n_suffixes; i++)
                if (dns_name_equal(w->suffixes[i].name, name)) {
                        put_u16(w, 0xc000u | w->suffixes[i].at);
                        return true;
                }
        return false;
}

static void put_name(struct writer *w, const uint8_t *name, bool pack)
{
        for (; *name; name += *name + 1) {
                if (pack && put_pointer(w, name))
                        return;
                if (w->n_suffixes < SUFFIXES_MAX && w->len < 0x4000) {
                        w->suffixes[w->n_suffixes].name = name;
                        w->suffixes[w->n_suffixes++].at = (uint16_t)w->len;
                }
                put(w, name, *name + 1u);
        }
        put(w, "", 1);
}

/* The parts were checked when the record was read or made. */
static void put_data(struct writer *w, const struct dns_rr *rr)
{
        const struct layout *l = find_layout(rr->type);
        const uint8_t *p = rr->data;

        if (!l || !l->pack || !rr->len) {
                put(w, rr->data, rr->len);
                return;
        }
        for (const char *part = l->parts; *part; part++) {
                size_t n = *part == 'n' ? dns_name_len(p) : *part == 's' ? *p + 1u : part_size(*part);

                if (*part == 'n')
                        put_name(w, p, true);
                else
                        put(w, p, n);
                p += n;
        }
}

/* All of it or nothing. */
static bool put_rr(struct writer *w, const struct dns_rr *rr)
{
        size_t start = w->len, suffixes = w->n_suffixes, at;

        put_name(w, rr->name, true);
        put_u16(w, rr->type);
        put_u16(w, rr->class);
        put_u32(w, rr->ttl);
        at = w->len;
        put_u16(w, 0);
        put_data(w, rr);
        if (w->full) {
                w->len = start;
                w->n_suffixes = suffixes;
                w->full = false;
                return false;
        }
        w->buf[at] = (uint8_t)((w->len - at - 2) >> 8);
        w->buf[at + 1] = (uint8_t)(w->len - at - 2);
        return true;
}

static void put_opt(struct writer *w, const struct dns_message *m)
{
        put(w, "", 1);
        put_u16(w, DNS_OPT);
        put_u16(w, m->udp_size);
        put_u32(w, (uint32_t)(m->rcode >> 4) << 24 | (uint32_t)m->edns_version << 16 | (m->dnssec_ok ? 0x8000u : 0));
        put_u16(w, 0);
}

size_t dns_message_write(const struct dns_message *m, uint8_t *buf, size_t max)
{
        struct writer w = { .buf = buf, .max = max - (m->edns ? OPT_SIZE : 0) };
        unsigned flags = m->flags | (m->rcode & 15u), counts[DNS_SECTIONS] = { 0 };

        w.len = HEADER;
        if (m->qname) {
                put_name(&w, m->qname, false);
                put_u16(&w, m->qtype);
                put_u16(&w, m->qclass);
        }
        for (unsigned s = 0; s < DNS_SECTIONS; s++)
                for (size_t i = 0; i < m->sections[s].n; i++) {
                        if (!put_rr(&w, &m->sections[s].items[i])) {
                                if (s != DNS_ADDITIONAL)
                                        flags |= DNS_FLAG_TC;
                                goto done;
                        }
                        counts[s]++;
                }
done:
        w.max = max;
        if (m->edns) {
                put_opt(&w, m);
                counts[DNS_ADDITIONAL]++;
        }
        max = w.len;
        w.len = 0;
        put_u16(&w, m->id);
        put_u16(&w, flags);
        put_u16(&w, m->qname ? 1 : 0);
        for (unsigned s = 0; s < DNS_SECTIONS; s++)
                put_u16(&w, counts[s]);
        return max;
}
