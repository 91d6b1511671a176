/* Budgets, signing requests, aggregated roles, mirrored Endpoints, token Secrets, quotas, namespaces that end. */
#include "test-world.h"

#include <stdlib.h>

#include <unistd.h>

#include "../lib/base/encode.h"

/* --- budgets --- */

#define PDB(spec, status)                                                                          \
        "{'kind':'PodDisruptionBudget','apiVersion':'policy/v1','metadata':{'name':'b','uid':'B','generation':1},'spec':{'selector':" \
        "{'matchLabels':{'a':'b'}}," spec "},'status':{" status "}}"
#define RS "{'kind':'ReplicaSet','metadata':{'name':'r','uid':'R'},'spec':{'replicas':4}}"

static void test_budget(void **state)
{
        static const struct {
                const char *pdb;
                unsigned pods, ready;
                bool owned;
                int64_t allowed, desired, expected;
                const char *reason;
        } cases[] = {
                { PDB("'minAvailable':1", ""), 2, 2, false, 1, 1, 2, "SufficientPods" },
                { PDB("'minAvailable':2", ""), 2, 2, false, 0, 2, 2, "InsufficientPods" },
                { PDB("'minAvailable':'50%'", ""), 3, 3, true, 1, 2, 4, "SufficientPods" },
                { PDB("'maxUnavailable':1", ""), 4, 4, true, 1, 3, 4, "SufficientPods" },
                { PDB("'maxUnavailable':1", ""), 4, 3, true, 0, 3, 4, "InsufficientPods" },
                { PDB("'maxUnavailable':'30%'", ""), 4, 4, true, 2, 2, 4, "SufficientPods" }, /* rounded up */
                { PDB("'maxUnavailable':1", ""), 2, 2, false, 0, 0, 0, "InsufficientPods" },  /* nobody's pods */
                { PDB("'minAvailable':1", "'disruptedPods':{'p0':'1970-01-12T13:46:00Z'}"), 2, 2, false, 0, 1, 2, "InsufficientPods" },
                { PDB("'minAvailable':1", "'disruptedPods':{'p0':'1970-01-12T13:40:00Z'}"), 2, 2, false, 1, 1, 2, "SufficientPods" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                const struct json *status;
                struct world *w;

                setup(state);
                w = *state;
                put(w, R_PDBS, cases[i].pdb);
                put(w, R_REPLICASETS, RS);
                for (unsigned k = 0; k < cases[i].pods; k++)
                        put(w, R_PODS, arena_printf(w->arena, "{'metadata':{'name':'p%u','uid':'p%u','labels':{'a':'b'}%s},'status':{'phase':"
                                                              "'Running','conditions':[{'type':'Ready','status':'%s'}]}}", k, k,
                                                    cases[i].owned ? ",'ownerReferences':[{'kind':'ReplicaSet','name':'r','uid':'R','controller':true}]" : "",
                                                    k < cases[i].ready ? "True" : "False"));
                run(w, &disruption_controller, "n/b");
                status = json_get(w->writes.items[w->writes.n - 1].body, "status");
                if (json_get_int(status, "disruptionsAllowed", -1) != cases[i].allowed ||
                    json_get_int(status, "desiredHealthy", -1) != cases[i].desired ||
                    json_get_int(status, "expectedPods", -1) != cases[i].expected ||
                    !streq(json_get_string(condition_find(json_get(status, "conditions"), "DisruptionAllowed"), "reason"), cases[i].reason))
                        fail_msg("case %zu: %s", i, json_print(w->arena, status));
                teardown(state);
        }
}

/* --- roles --- */

static void test_aggregation(void **state)
{
        struct world *w = *state;

        put(w, R_CLUSTERROLES, "{'metadata':{'name':'all'},'aggregationRule':{'clusterRoleSelectors':[{'matchLabels':{'to':'all'}}]},'rules':[]}");
        assert_string_equal(run(w, &aggregation_controller, "all"), "");
        put(w, R_CLUSTERROLES, "{'metadata':{'name':'y','labels':{'to':'all'}},'rules':[{'verbs':['get']},{'verbs':['list']}]}");
        put(w, R_CLUSTERROLES, "{'metadata':{'name':'x','labels':{'to':'all'}},'rules':[{'verbs':['list']}]}");
        put(w, R_CLUSTERROLES, "{'metadata':{'name':'z'},'rules':[{'verbs':['*']}]}");
        assert_string_equal(run(w, &aggregation_controller, "all"), "apply clusterroles all\n");
        assert_string_equal(json_print(w->arena, json_get(w->writes.items[0].body, "rules")), "[{\"verbs\":[\"list\"]},{\"verbs\":[\"get\"]}]");
        assert_string_equal(run(w, &aggregation_controller, "z"), "");
        put(w, R_CLUSTERROLES, "{'metadata':{'name':'a','labels':{'to':'two'}},'rules':[{'verbs':['watch']}]}");
        put(w, R_CLUSTERROLES, "{'metadata':{'name':'two'},'aggregationRule':{'clusterRoleSelectors':[{'matchLabels':{'to':'all'}},"
                               "{'matchLabels':{'to':'two'}}]},'rules':[]}");
        assert_string_equal(run(w, &aggregation_controller, "two"), "apply clusterroles two\n");
        assert_string_equal(json_print(w->arena, json_get(w->writes.items[0].body, "rules")),
                            "[{\"verbs\":[\"list\"]},{\"verbs\":[\"get\"]},{\"verbs\":[\"watch\"]}]");
}

/* --- mirrored Endpoints --- */

static void test_mirror(void **state)
{
        struct world *w = *state;

        put(w, R_ENDPOINTS, "{'metadata':{'name':'s','uid':'E','labels':{'l':'1'}},'subsets':[{'addresses':[{'ip':'192.0.2.1'},{'ip':'2001:db8::1'}],"
                            "'notReadyAddresses':[{'ip':'192.0.2.2'}],'ports':[{'port':80}]}]}");
        assert_string_equal(run(w, &mirroring_controller, "n/s"), ""); /* no Service */
        put(w, R_SERVICES, "{'metadata':{'name':'s','uid':'S'},'spec':{'selector':{'a':'b'}}}");
        assert_string_equal(run(w, &mirroring_controller, "n/s"), ""); /* the other controller's */
        put(w, R_SERVICES, "{'metadata':{'name':'s','uid':'S'},'spec':{}}");
        assert_string_equal(run(w, &mirroring_controller, "n/s"), "create endpointslices\ncreate endpointslices\n");
        assert_string_equal(wrote(w, 0, "addressType"), "IPv4");
        assert_int_equal(json_len(json_get(w->writes.items[0].body, "endpoints")), 2);
        assert_string_equal(wrote(w, 1, "addressType"), "IPv6");
        put(w, R_SLICES, "{'metadata':{'name':'s-x','uid':'x','labels':{'kubernetes.io/service-name':'s','endpointslice.kubernetes.io/managed-by':"
                         "'endpointslicemirroring-controller.k8s.io'}},'addressType':'IPv4'}");
        put(w, R_ENDPOINTS, "{'metadata':{'name':'s','uid':'E','labels':{'endpointslice.kubernetes.io/skip-mirror':'true'}},'subsets':[{'addresses':"
                            "[{'ip':'192.0.2.1'}]}]}");
        assert_string_equal(run(w, &mirroring_controller, "n/s"), "delete endpointslices s-x\n");
}

/* --- tokens --- */

static void test_tokens(void **state)
{
        char file[] = "/tmp/test-key-XXXXXX";
        struct world *w = *state;
        struct pki_pair *ca = NULL;
        struct jwt_keys *keys = NULL;
        _cleanup_strbuf_ struct strbuf token = STRBUF_INIT, pem = STRBUF_INIT;
        const char *encoded;
        struct json *claims;
        int fd = mkstemp(file);

        assert_true(fd >= 0);
        assert_int_equal(pki_ca_new("test", 0, &ca, NULL), 0);
        assert_int_equal(pki_key_pem(ca, &pem, NULL), 0);
        assert_int_equal(write(fd, strbuf_str(&pem), pem.len), (ssize_t)pem.len);
        close(fd);
        assert_int_equal(jwt_keys_load((const char *const[]){ NULL }, file, &keys, NULL), 0);
        w->settings.sa_keys = keys;
        w->settings.root_ca = "CA";
        put(w, R_SECRETS, "{'metadata':{'name':'t','uid':'T','annotations':{'kubernetes.io/service-account.name':'robot'}},"
                          "'type':'kubernetes.io/service-account-token'}");
        assert_string_equal(run(w, &token_controller, "n/t"), "absent serviceaccounts robot\ndelete secrets t\n");
        put(w, R_SERVICEACCOUNTS, "{'metadata':{'name':'robot','uid':'R'}}");
        assert_string_equal(run(w, &token_controller, "n/t"), "update secrets t\n");
        assert_string_equal(wrote(w, 0, "data.namespace"), "bg==");
        assert_string_equal(json_get_string(json_get(w->writes.items[0].body, "data"), "ca.crt"), "Q0E=");
        encoded = wrote(w, 0, "data.token");
        assert_int_equal(base64_decode(&token, encoded, strlen(encoded), NULL), 0);
        assert_int_equal(jwt_verify(keys, w->arena, strbuf_str(&token), &claims, NULL), 0);
        assert_string_equal(json_get_string(claims, "sub"), "system:serviceaccount:n:robot");
        assert_string_equal(json_get_string(claims, "kubernetes.io/serviceaccount/secret.name"), "t");
        /* The account was made anew: a token of the old one must not live on. */
        put(w, R_SECRETS, "{'metadata':{'name':'t','uid':'T','annotations':{'kubernetes.io/service-account.name':'robot',"
                          "'kubernetes.io/service-account.uid':'old'}},'type':'kubernetes.io/service-account-token'}");
        assert_string_equal(run(w, &token_controller, "n/t"), "absent serviceaccounts robot\ndelete secrets t\n");
        put(w, R_SECRETS, "{'metadata':{'name':'t','uid':'T'},'type':'Opaque'}");
        assert_string_equal(run(w, &token_controller, "n/t"), "");
        unlink(file);
        jwt_keys_free(keys);
        pki_pair_free(ca);
}

/* --- signing requests --- */

static void put_request(struct world *w, const char *signer, const char *org, const char *usage, const char *conditions)
{
        const char *orgs[] = { org, NULL };
        struct pki_spec spec = { .common_name = "system:node:a", .organizations = orgs };
        _cleanup_strbuf_ struct strbuf pem = STRBUF_INIT, key = STRBUF_INIT, text = STRBUF_INIT;

        assert_int_equal(pki_request_new(&spec, &pem, &key, NULL), 0);
        base64_encode(&text, strbuf_str(&pem), pem.len);
        put(w, R_CSRS, arena_printf(w->arena, "{'metadata':{'name':'c','uid':'C','creationTimestamp':'1970-01-12T13:46:00Z'},'spec':{'request':'%s',"
                                              "'signerName':'%s','username':'system:node:a','usages':[%s]},'status':{'conditions':[%s]}}",
                                    strbuf_str(&text), signer, usage, conditions));
}

#define KUBELET "kubernetes.io/kube-apiserver-client-kubelet"
#define APPROVED "{'type':'Approved','status':'True','lastUpdateTime':'1970-01-12T13:46:00Z'}"
#define CLIENT_USAGE "'digital signature','client auth'"

static void test_requests(void **state)
{
        static const struct {
                const char *signer, *org, *usage, *failure; /* NULL: signed */
        } cases[] = {
                { KUBELET, "system:nodes", CLIENT_USAGE, NULL },
                { KUBELET, "people", CLIENT_USAGE, "subject organization is not system:nodes" },
                { KUBELET, "system:nodes", "'server auth'", "usages did not match [server auth]" },
                { "kubernetes.io/kube-apiserver-client", "people", "'client auth'", NULL },
                { "kubernetes.io/kube-apiserver-client", "people", "'code signing'", "usages did not match [code signing]" },
                { "kubernetes.io/kubelet-serving", "system:nodes", "'digital signature','server auth'",
                  "at least one DNS or IP subjectAltName is required" },
        };
        struct world *w = *state;
        struct pki_pair *ca = NULL;

        assert_int_equal(pki_ca_new("test", 0, &ca, NULL), 0);
        w->settings.signer = ca;
        w->settings.signing_duration_ns = 3600 * NS_PER_SEC;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                const struct json *c;

                put_request(w, cases[i].signer, cases[i].org, cases[i].usage, "");
                assert_string_equal(run(w, &csr_signer, "c"), ""); /* nobody approved it */
                put_request(w, cases[i].signer, cases[i].org, cases[i].usage, APPROVED);
                assert_string_equal(run(w, &csr_signer, "c"), "update certificatesigningrequests/status c\n");
                c = condition_find(json_path(w->writes.items[0].body, "status.conditions"), "Failed");
                if (!streq(json_get_string(c, "message"), cases[i].failure) || !cases[i].failure != !!wrote(w, 0, "status.certificate"))
                        fail_msg("case %zu: %s", i, json_print(w->arena, json_get(w->writes.items[0].body, "status")));
        }
        put_request(w, "example.com/mine", "people", CLIENT_USAGE, APPROVED);
        assert_string_equal(run(w, &csr_signer, "c"), "");
        put_request(w, KUBELET, "system:nodes", CLIENT_USAGE, "");
        assert_string_equal(run(w, &csr_approver, "c"), "allowed certificatesigningrequests\nupdate certificatesigningrequests/approval c\n");
        assert_string_equal(wrote(w, 0, "spec.resourceAttributes.subresource"), "selfnodeclient");
        assert_string_equal(run(w, &csr_cleaner, "c"), "");
        w->snapshot.now += SECONDS(24 * 3600);
        assert_string_equal(run(w, &csr_cleaner, "c"), "delete certificatesigningrequests c\n");
        pki_pair_free(ca);
}

/* --- quotas --- */

#define QUOTA(used) "{'metadata':{'name':'q','uid':'Q'},'spec':{'hard':{'pods':'5'}},'status':{'hard':{'pods':'5'},'used':{'pods':'" used "'}}}"

/* More is written at once; less only when nobody has charged the quota for a moment. */
static void test_quota(void **state)
{
        struct world *w = *state;

        put(w, R_PODS, "{'metadata':{'name':'p','uid':'p'},'spec':{},'status':{'phase':'Running'}}");
        put(w, R_PODS, "{'metadata':{'name':'q','uid':'q'},'spec':{},'status':{'phase':'Failed'}}");
        put(w, R_RESOURCEQUOTAS, QUOTA("0"));
        assert_string_equal(run(w, &quota_controller, "n/q"), "update resourcequotas/status q\n");
        assert_string_equal(wrote(w, 0, "status.used.pods"), "1");
        put(w, R_RESOURCEQUOTAS, QUOTA("1"));
        assert_string_equal(run(w, &quota_controller, "n/q"), "");
        put(w, R_RESOURCEQUOTAS, QUOTA("2"));
        assert_string_equal(run(w, &quota_controller, "n/q"), "");
        assert_true(w->writes.requeue_after > 0);
        w->snapshot.now += w->writes.requeue_after;
        assert_string_equal(run(w, &quota_controller, "n/q"), "update resourcequotas/status q\n");
}

/* --- namespaces --- */

static void test_namespace(void **state)
{
        static const struct {
                const char *type, *status, *message;
        } wanted[] = {
                { "NamespaceDeletionDiscoveryFailure", "False", "All resources successfully discovered" },
                { "NamespaceDeletionGroupVersionParsingFailure", "False", "All legacy kube types successfully parsed" },
                { "NamespaceDeletionContentFailure", "True", "Failed to delete all resource types: no" },
                { "NamespaceContentRemaining", "True",
                  "Some resources are remaining: configmaps. has 1 resource instances, pods. has 2 resource instances" },
                { "NamespaceFinalizersRemaining", "True",
                  "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances" },
        };
        struct world *w = *state;
        struct arena *a = w->arena;
        struct namespace_remains left = { .counts = json_new_object(a), .finalizers = json_new_object(a), .deletion_error = "no" };
        struct json *conditions = json_new_array(a);

        json_set_int(a, left.counts, "pods.", 2);
        json_set_int(a, left.counts, "configmaps.", 1);
        json_set_int(a, left.finalizers, "example.com/hold", 1);
        assert_true(namespace_conditions(a, &left, conditions, 1));
        assert_false(namespace_conditions(a, &left, conditions, 2));
        for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
                assert_string_equal(json_get_string(json_at(conditions, i), "type"), wanted[i].type);
                assert_string_equal(json_get_string(json_at(conditions, i), "status"), wanted[i].status);
                assert_string_equal(json_get_string(json_at(conditions, i), "message"), wanted[i].message);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_budget), TEST(test_aggregation), TEST(test_mirror), TEST(test_tokens),
                TEST(test_requests),           TEST(test_quota),       TEST(test_namespace),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
