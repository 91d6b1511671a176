/* Tokens: what we sign verifies, and nothing else does: not a changed claim, not another key's, not
 * "none", not another algorithm with the same key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../base/encode.h"
#include "../base/file.h"
#include "jwt.h"
#include "pki.h"

struct keys {
        char *dir, *rsa_key, *rsa_pub, *ec_key;
};

static int set_up(void **state)
{
        struct keys *k = new0(struct keys);
        _cleanup_pki_pair_ struct pki_pair *ca = NULL;
        _cleanup_free_ char *cert = NULL;

        k->dir = xstrdup("/tmp/test-jwt.XXXXXX");
        assert_non_null(mkdtemp(k->dir));
        assert_int_equal(pki_cluster_init(k->dir, &(struct pki_cluster_options){ .server = "https://x" }, NULL, NULL), 0);
        k->rsa_key = xasprintf("%s/sa.key", k->dir);
        k->rsa_pub = xasprintf("%s/sa.pub", k->dir);
        k->ec_key = xasprintf("%s/ec.key", k->dir);
        cert = xasprintf("%s/ec.crt", k->dir);
        assert_int_equal(pki_ca_new("x", 0, &ca, NULL), 0);
        assert_int_equal(pki_save(ca, cert, k->ec_key, NULL), 0);
        *state = k;
        return 0;
}

static int tear_down(void **state)
{
        struct keys *k = *state;

        dir_remove(k->dir, NULL);
        free(k->dir);
        free(k->rsa_key);
        free(k->rsa_pub);
        free(k->ec_key);
        free(k);
        return 0;
}

static struct json *claims_of(struct arena *a)
{
        struct json *c = json_new_object(a);

        json_set_string(a, c, "iss", "https://kubernetes.default.svc.cluster.local");
        json_set_string(a, c, "sub", "system:serviceaccount:default:x");
        json_set_int(a, c, "exp", 4102444800);
        return c;
}

static void check_round_trip(const char *sign_file, const char *verify_file, const char *alg)
{
        const char *files[] = { verify_file, NULL };
        _cleanup_arena_ struct arena *a = arena_new(0);
        _cleanup_strbuf_ struct strbuf header = STRBUF_INIT;
        struct jwt_keys *signer, *verifier;
        struct json *got = NULL, *claims = claims_of(a);
        char *token;

        assert_int_equal(jwt_keys_load(NULL, sign_file, &signer, NULL), 0);
        assert_int_equal(jwt_keys_load(files, NULL, &verifier, NULL), 0);
        assert_int_equal(jwt_sign(signer, a, claims, &token, NULL), 0);
        assert_int_equal(jwt_verify(verifier, a, token, &got, NULL), JWT_OK);
        assert_true(json_equal(got, claims));
        base64_decode(&header, token, strcspn(token, "."), NULL);
        assert_non_null(strstr(header.data, alg));

        strchr(token, '.')[3] ^= 1;
        assert_int_not_equal(jwt_verify(verifier, a, token, &got, NULL), JWT_OK);
        assert_true(jwt_sign(verifier, a, claims, &token, NULL) < 0);
        jwt_keys_free(signer);
        jwt_keys_free(verifier);
}

static void test_algorithms(void **state)
{
        struct keys *k = *state;

        check_round_trip(k->rsa_key, k->rsa_pub, "RS256");
        check_round_trip(k->ec_key, k->ec_key, "ES256");
}

static void test_forgeries(void **state)
{
        struct keys *k = *state;
        const char *files[] = { k->rsa_pub, NULL };
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct jwt_keys *verifier, *other;
        struct json *got;
        char *token;

        assert_int_equal(jwt_keys_load(files, NULL, &verifier, NULL), 0);
        assert_int_equal(jwt_keys_load(NULL, k->ec_key, &other, NULL), 0);
        assert_int_equal(jwt_sign(other, a, claims_of(a), &token, NULL), 0);
        assert_int_equal(jwt_verify(verifier, a, token, &got, NULL), JWT_BAD_SIGNATURE);
        /* {"alg":"none"}, {"sub":"x"} */
        assert_int_equal(jwt_verify(verifier, a, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.", &got, NULL), JWT_BAD_SIGNATURE);
        assert_int_equal(jwt_verify(verifier, a, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.AAAA", &got, NULL),
                         JWT_BAD_SIGNATURE);
        assert_int_equal(jwt_verify(verifier, a, "a.b.c", &got, NULL), JWT_NOT_A_TOKEN);
        assert_int_equal(jwt_verify(verifier, a, "nope", &got, NULL), JWT_NOT_A_TOKEN);
        assert_int_equal(jwt_verify(verifier, a, "", &got, NULL), JWT_NOT_A_TOKEN);
        assert_int_equal(jwt_verify(verifier, a, "a.b.c.d", &got, NULL), JWT_NOT_A_TOKEN);
        jwt_keys_free(verifier);
        jwt_keys_free(other);
}

static void test_jwks(void **state)
{
        struct keys *k = *state;
        const char *files[] = { k->rsa_pub, k->ec_key, NULL };
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct jwt_keys *keys;
        struct json *set;

        assert_int_equal(jwt_keys_load(files, k->rsa_key, &keys, NULL), 0);
        assert_int_equal(jwt_keys_jwks(keys, a, &set, NULL), 0);
        assert_int_equal(json_len(json_get(set, "keys")), 2); /* the RSA key was given twice */
        assert_string_equal(json_get_string(json_at(json_get(set, "keys"), 0), "e"), "AQAB");
        assert_int_equal(strlen(json_get_string(json_at(json_get(set, "keys"), 1), "x")), 43);
        jwt_keys_free(keys);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_algorithms),
                cmocka_unit_test(test_forgeries),
                cmocka_unit_test(test_jwks),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
