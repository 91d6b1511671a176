/* DNS messages: what is read is what was written, and nothing that is not there is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "forward.h"
#include "message.h"

static void test_names(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        const uint8_t *labels[DNS_LABELS_MAX];
        char buf[DNS_TEXT_MAX], longest[300];
        const uint8_t *n = dns_name_parse(a, "Web.Default.svc.");

        assert_non_null(n);
        assert_int_equal(dns_name_len(n), 17);
        assert_string_equal(dns_name_text(n, buf), "web.default.svc");
        assert_int_equal(dns_name_labels(n, labels), 3);
        assert_true(dns_name_equal(n, dns_name_parse(a, "wEB.dEFAULT.sVC")));
        assert_false(dns_name_equal(n, dns_name_parse(a, "web.default")));
        assert_string_equal(dns_name_text((const uint8_t *)"\3a.\0\0", buf), "a\\046\\000");
        assert_null(dns_name_parse(a, "a..b"));
        assert_null(dns_name_parse(a, "a.."));
        assert_null(dns_name_parse(a, ".a"));
        assert_int_equal(dns_name_len(dns_name_parse(a, "")), 1);
        memset(longest, 'a', sizeof(longest));
        longest[64] = '\0';
        assert_null(dns_name_parse(a, longest));
        longest[63] = longest[127] = longest[191] = '.';
        longest[64] = 'a';
        longest[253] = '\0';
        assert_int_equal(dns_name_len(dns_name_parse(a, longest)), 255);
        longest[253] = 'a';
        longest[254] = '\0';
        assert_null(dns_name_parse(a, longest));
}

static void test_query(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        static const uint8_t q[] = "\x12\x34\x01\x00\0\1\0\0\0\0\0\1\3wWw\2eX\0\0\1\0\1\0\0\x29\x04\xd0\0\0\x80\0\0\0";
        struct dns_message m, r;
        uint8_t buf[512];
        size_t n;

        assert_int_equal(dns_message_read(a, q, sizeof(q) - 1, &m), 0);
        assert_int_equal(m.id, 0x1234);
        assert_int_equal(m.flags, DNS_FLAG_RD);
        assert_true(m.edns && m.dnssec_ok);
        assert_int_equal(m.udp_size, 1232);
        assert_memory_equal(m.qname, "\3wWw\2eX", 8);
        dns_message_reply(&m, &r);
        r.rcode = DNS_BADVERS;
        n = dns_message_write(&r, buf, sizeof(buf));
        assert_int_equal(dns_message_read(a, buf, n, &m), 0);
        assert_int_equal(m.rcode, DNS_BADVERS);
        assert_memory_equal(m.qname, "\3wWw\2eX", 8); /* the case it was asked in */
        for (size_t i = 0; i < 12; i++)
                assert_int_equal(dns_message_read(a, q, i, &m), -EBADMSG);
        for (size_t i = 12; i < sizeof(q) - 1; i++)
                assert_int_equal(dns_message_read(a, q, i, &m), DNS_FORMERR);
}

/* Pointers that lead forward, to themselves, or round in a circle. */
static void test_bad_pointers(void **state)
{
        static const char *const names[] = { "\xc0\x0c", "\xc0\x0e", "\1a\xc0\x0c", "\xc0\xff", "\x40", "\xc0" };
        _cleanup_arena_ struct arena *a = arena_new(0);

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                uint8_t q[64] = "\0\1\1\0\0\1\0\0\0\0\0";
                size_t n = strlen(names[i]);
                struct dns_message m;

                memcpy(q + 12, names[i], n);
                memcpy(q + 12 + n, "\0\1\0\1", 4);
                assert_int_equal(dns_message_read(a, q, 12 + n + 4, &m), DNS_FORMERR);
        }
}

static void add(struct arena *a, struct dns_message *m, unsigned section, const char *name, uint16_t type,
                const void *data, size_t len)
{
        struct dns_rr rr = { dns_name_parse(a, name), type, DNS_CLASS_IN, 7, (uint16_t)len, data };

        dns_message_add(a, m, section, rr);
}

static void test_round_trip(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct dns_message m = { .id = 7, .flags = DNS_FLAG_QR, .qtype = DNS_ANY, .qclass = 1 }, r;
        const char mx[] = "\0\12\4mail\7example\3org", soa[] = "\2ns\7example\3org\0\1h\0abcdefghijklmnopqrst";
        const char srv[] = "\0\0\0\1\0\x50\1b\7example\3org";
        uint8_t buf[1024];
        size_t n;

        m.qname = dns_name_parse(a, "example.org");
        add(a, &m, DNS_ANSWER, "EXAMPLE.org", DNS_MX, mx, sizeof(mx));
        add(a, &m, DNS_ANSWER, "example.org", DNS_SRV, srv, sizeof(srv));
        add(a, &m, DNS_AUTHORITY, "org", DNS_SOA, soa, sizeof(soa) - 1);
        add(a, &m, DNS_ADDITIONAL, "b.example.org", DNS_A, "\1\2\3\4", 4);
        n = dns_message_write(&m, buf, sizeof(buf));
        assert_int_equal(dns_message_read(a, buf, n, &r), 0);
        for (unsigned s = 0; s < DNS_SECTIONS; s++) {
                assert_int_equal(r.sections[s].n, m.sections[s].n);
                for (size_t i = 0; i < r.sections[s].n; i++) {
                        struct dns_rr *x = &m.sections[s].items[i], *y = &r.sections[s].items[i];

                        assert_true(dns_name_equal(x->name, y->name));
                        assert_int_equal(y->ttl, 7);
                        assert_int_equal(x->type, y->type);
                        assert_int_equal(x->len, y->len);
                        assert_memory_equal(x->data, y->data, x->len);
                }
        }
        assert_true(n < 150); /* names are compressed, but not SRV's */
        for (size_t i = 12; i < n; i++) {
                struct dns_message cut;

                assert_int_equal(dns_message_read(a, buf, i, &cut), DNS_FORMERR);
        }
}

static void test_truncation(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct dns_message m = { .flags = DNS_FLAG_QR, .qtype = DNS_A, .qclass = 1, .edns = true }, r;
        uint8_t buf[DNS_MESSAGE_MAX];
        size_t n;

        m.qname = dns_name_parse(a, "many.example");
        for (unsigned i = 0; i < 2000; i++)
                add(a, &m, DNS_ANSWER, "many.example", DNS_A, arena_memdup(a, &i, 4), 4);
        n = dns_message_write(&m, buf, 512);
        assert_true(n <= 512 && n > 490);
        assert_int_equal(dns_message_read(a, buf, n, &r), 0);
        assert_true(r.flags & DNS_FLAG_TC);
        assert_true(r.edns);
        n = dns_message_write(&m, buf, sizeof(buf));
        assert_int_equal(dns_message_read(a, buf, n, &r), 0);
        assert_false(r.flags & DNS_FLAG_TC);
        assert_int_equal(r.sections[DNS_ANSWER].n, 2000);
        /* Additional records are a courtesy: leaving them out is no truncation. */
        m.sections[DNS_ADDITIONAL] = m.sections[DNS_ANSWER];
        m.sections[DNS_ANSWER].n = 1;
        n = dns_message_write(&m, buf, 512);
        assert_int_equal(dns_message_read(a, buf, n, &r), 0);
        assert_false(r.flags & DNS_FLAG_TC);
}

static void test_resolv_conf(void **state)
{
        struct dns_servers s;

        dns_servers_parse("# nameserver 9.9.9.9\nsearch a b\nnameserver 10.0.0.1\nnameserver\t10.96.0.10\n"
                          "nameserver fe80::1%eth0\noptions ndots:5\nnameserver 1.2.3.4 # last",
                          "10.96.0.10", &s);
        assert_int_equal(s.n, 3);
        assert_string_equal(s.addresses[0], "10.0.0.1");
        assert_string_equal(s.addresses[1], "fe80::1%eth0");
        assert_string_equal(s.addresses[2], "1.2.3.4");
        dns_servers_parse("", NULL, &s);
        assert_int_equal(s.n, 0);
}

static void test_fits(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct dns_message q = { .id = 5, .qtype = DNS_A, .qclass = 1, .qname = dns_name_parse(a, "a.b") }, r = q;

        assert_false(dns_reply_fits(&q, &r, 0)); /* a query */
        r.flags = DNS_FLAG_QR;
        assert_true(dns_reply_fits(&q, &r, 0));
        assert_false(dns_reply_fits(&q, &r, DNS_FORMERR));
        r.id = 6;
        assert_false(dns_reply_fits(&q, &r, 0));
        r.id = 5;
        r.qname = dns_name_parse(a, "a.c");
        assert_false(dns_reply_fits(&q, &r, 0));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),      cmocka_unit_test(test_query),
                cmocka_unit_test(test_bad_pointers), cmocka_unit_test(test_round_trip),
                cmocka_unit_test(test_truncation), cmocka_unit_test(test_resolv_conf),
                cmocka_unit_test(test_fits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
