/* Certificates as a cluster uses them: what is issued verifies, is kept while good, and is renewed when
 * it is not; a request of a node becomes a certificate with the names it asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/stat.h>

#include "../base/file.h"
#include "pki.h"

static char *temp_dir(void)
{
        char *dir = xstrdup("/tmp/test-pki.XXXXXX");

        assert_non_null(mkdtemp(dir));
        return dir;
}

static void test_issue(void **state)
{
        const char *orgs[] = { "system:nodes", NULL }, *dns[] = { "a", "b.c", NULL }, *ips[] = { "10.0.0.1", "::1", NULL };
        const char *fewer[] = { "a", NULL };
        struct pki_spec spec = { .common_name = "x", .organizations = orgs, .dns = dns, .ips = ips, .usages = PKI_SERVER };
        _cleanup_pki_pair_ struct pki_pair *ca = NULL, *other = NULL, *p = NULL;

        assert_int_equal(pki_ca_new("ca", 0, &ca, NULL), 0);
        assert_int_equal(pki_ca_new("ca", 0, &other, NULL), 0);
        assert_int_equal(pki_issue(ca, &spec, &p, NULL), 0);
        assert_true(pki_issued_by(p, ca));
        assert_false(pki_issued_by(p, other));
        assert_true(pki_has_names(p, &spec));
        spec.dns = fewer;
        assert_false(pki_has_names(p, &spec));
        assert_in_range(pki_days_left(p), 364, 365);
        assert_true(pki_life_left(p) > 0.99);
        spec.ips = fewer; /* "a" is no address */
        pki_pair_free(p);
        p = NULL;
        assert_true(pki_issue(ca, &spec, &p, NULL) < 0);
}

static void test_request(void **state)
{
        const char *orgs[] = { "system:nodes", NULL }, *dns[] = { "n1", NULL }, *ips[] = { "10.0.0.7", NULL };
        struct pki_spec spec = { .common_name = "system:node:n1", .organizations = orgs, .dns = dns, .ips = ips };
        _cleanup_strbuf_ struct strbuf req = STRBUF_INIT, key = STRBUF_INIT, cert = STRBUF_INIT;
        _cleanup_pki_pair_ struct pki_pair *ca = NULL, *p = NULL;
        struct pki_request parsed;

        assert_int_equal(pki_ca_new("ca", 0, &ca, NULL), 0);
        assert_int_equal(pki_request_new(&spec, &req, &key, NULL), 0);
        assert_int_equal(pki_request_parse(req.data, req.len, &parsed, NULL), 0);
        assert_string_equal(parsed.common_name, "system:node:n1");
        assert_string_equal(parsed.organizations[0], "system:nodes");
        assert_string_equal(parsed.dns[0], "n1");
        assert_string_equal(parsed.ips[0], "10.0.0.7");
        pki_request_deinit(&parsed);
        assert_int_equal(pki_request_sign(ca, req.data, req.len, PKI_CLIENT, 3600, &cert, NULL), 0);
        assert_int_equal(pki_load_pem(cert.data, cert.len, key.data, key.len, &p, NULL), 0);
        assert_true(pki_issued_by(p, ca));
        assert_true(pki_has_names(p, &spec));
        assert_int_equal(pki_days_left(p), 0);
        assert_true(pki_request_parse("junk", 4, &parsed, NULL) < 0);
        req.data[req.len / 2] ^= 1; /* a request changed on its way is not signed */
        assert_true(pki_request_sign(ca, req.data, req.len, PKI_CLIENT, 3600, &cert, NULL) < 0);
}

static mode_t mode_of(const char *dir, const char *file)
{
        _cleanup_free_ char *path = xasprintf("%s/%s", dir, file);
        struct stat st;

        assert_int_equal(stat(path, &st), 0);
        return st.st_mode & 0777;
}

static void test_cluster(void **state)
{
        const char *ips[] = { "192.0.2.10", NULL };
        struct pki_cluster_options o = { .server = "https://127.0.0.1:6443", .node_name = "n1", .service_ip = "10.96.0.1" };
        _cleanup_error_ struct error err = ERROR_INIT;
        _cleanup_free_ char *dir = temp_dir(), *text = NULL, *cert = xasprintf("%s/apiserver.crt", dir);
        _cleanup_free_ char *conf = xasprintf("%s/admin.kubeconfig", dir);
        unsigned n = 0;

        assert_int_equal(pki_cluster_init(dir, &o, &n, &err), 0);
        assert_int_equal(n, 3 + 1 + 13);
        assert_int_equal(pki_cluster_init(dir, &o, &n, &err), 0);
        assert_int_equal(n, 0);
        assert_int_equal(mode_of(dir, "ca.key"), 0600);
        assert_int_equal(mode_of(dir, "sa.key"), 0600);
        assert_int_equal(mode_of(dir, "admin.kubeconfig"), 0600);
        assert_int_equal(mode_of(dir, "ca.crt"), 0644);
        assert_int_equal(file_read(conf, 0, &text, NULL, NULL), 0);
        assert_non_null(strstr(text, "server: https://127.0.0.1:6443\n"));

        o.ips = ips; /* an address more: apiserver, etcd (2) and kubelet serving certificates are made anew */
        assert_int_equal(pki_cluster_init(dir, &o, &n, &err), 0);
        assert_int_equal(n, 4);
        assert_int_equal(unlink(cert), 0);
        assert_int_equal(pki_cluster_init(dir, &o, &n, &err), 0);
        assert_int_equal(n, 1);
        o.renew_below = 2; /* no life is long enough: all but the CAs and the token keys */
        assert_int_equal(pki_cluster_init(dir, &o, &n, &err), 0);
        assert_int_equal(n, 13);
        dir_remove(dir, NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_issue),
                cmocka_unit_test(test_request),
                cmocka_unit_test(test_cluster),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
