/* NodeRestriction by examples: what a kubelet sends, and what it is told. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../lib/json/yaml.h"
#include "internal.h"

#define MIRROR_META "name: x, annotations: {kubernetes.io/config.mirror: y}"
#define OWNED(owner) "metadata: {" MIRROR_META ", ownerReferences: [" owner "]}\nspec: {nodeName: n1}"
#define OWNER "apiVersion: v1, kind: Node, name: n1, uid: u, controller: true"

static const struct {
        enum admission_op op;
        const char *group, *resource, *sub, *namespace, *name, *object, *old, *says; /* NULL: let in */
} cases[] = {
        { ADMISSION_CREATE, "", "configmaps", "", "ns", "x", "{}", NULL, NULL },
        { ADMISSION_CREATE, "", "pods", "", "ns", "x", "spec: {nodeName: n1}", NULL,
          "pod does not have \"kubernetes.io/config.mirror\" annotation, node \"n1\" can only create mirror pods" },
        { ADMISSION_CREATE, "", "pods", "", "ns", "x", "metadata: {" MIRROR_META "}\nspec: {nodeName: n2}", NULL,
          "node \"n1\" can only create pods with spec.nodeName set to itself" },
        { ADMISSION_CREATE, "", "pods", "", "ns", "x", OWNED(""), NULL,
          "node \"n1\" can only create pods with an owner reference set to itself" },
        { ADMISSION_CREATE, "", "pods", "", "ns", "x", OWNED("{" OWNER "}, {" OWNER "}"), NULL,
          "node \"n1\" can only create pods with a single owner reference set to itself" },
        { ADMISSION_CREATE, "", "pods", "", "ns", "x", OWNED("{apiVersion: v1, kind: Node, name: n1, uid: u}"), NULL,
          "node \"n1\" can only create pods with a controller owner reference set to itself" },
        { ADMISSION_CREATE, "", "pods", "", "ns", "x", OWNED("{" OWNER ", blockOwnerDeletion: true}"), NULL,
          "node \"n1\" must not set blockOwnerDeletion on an owner reference" },
        { ADMISSION_CREATE, "", "pods", "", "ns", "x", OWNED("{" OWNER "}"), NULL, "node \"n1\" not found" },
        { ADMISSION_UPDATE, "", "pods", "", "ns", "x", "{}", "{}",
          "unexpected operation \"UPDATE\", node \"n1\" can only create and delete mirror pods" },
        { ADMISSION_DELETE, "", "pods", "", "ns", "x", NULL, "spec: {nodeName: n1}", NULL },
        { ADMISSION_DELETE, "", "pods", "", "ns", "x", NULL, "spec: {nodeName: n2}",
          "node \"n1\" can only delete pods with spec.nodeName set to itself" },
        { ADMISSION_UPDATE, "", "pods", "status", "ns", "x", "status: {phase: Running}", "spec: {nodeName: n1}", NULL },
        { ADMISSION_UPDATE, "", "pods", "status", "ns", "x", "{}", "spec: {nodeName: n2}",
          "node \"n1\" can only update pod status for pods with spec.nodeName set to itself" },
        { ADMISSION_UPDATE, "", "pods", "status", "ns", "x", "metadata: {labels: {a: b}}", "spec: {nodeName: n1}",
          "node \"n1\" cannot update labels through pod status" },
        { ADMISSION_UPDATE, "", "pods", "status", "ns", "x", "status: {resourceClaimStatuses: [{name: a}]}",
          "spec: {nodeName: n1}", "node \"n1\" cannot update resource claim statues" },
        { ADMISSION_UPDATE, "", "pods", "status", "ns", "x", "status: {extendedResourceClaimStatus: {resourceClaimName: a}}",
          "spec: {nodeName: n1}", "node \"n1\" cannot update extended resource claim status" },
        { ADMISSION_CREATE, "", "pods", "binding", "ns", "x", "{}", NULL,
          "unexpected pod subresource \"binding\", only 'status' and 'eviction' are allowed" },
        { ADMISSION_CREATE, "", "nodes", "", "", "n2", "{}", NULL, "node \"n1\" is not allowed to modify node \"n2\"" },
        { ADMISSION_CREATE, "", "nodes", "", "", "n1",
          "metadata: {labels: {kubernetes.io/os: linux, a: b, x.node.kubernetes.io/y: z, kubelet.kubernetes.io/y: z}}", NULL, NULL },
        { ADMISSION_CREATE, "", "nodes", "", "", "n1",
          "metadata: {labels: {q.k8s.io/x: y, node-restriction.kubernetes.io/a: b, anode.kubernetes.io/c: d}}", NULL,
          "node \"n1\" is not allowed to set the following labels: anode.kubernetes.io/c, node-restriction.kubernetes.io/a, "
          "q.k8s.io/x" },
        { ADMISSION_CREATE, "", "nodes", "", "", "n1", "spec: {configSource: {configMap: {name: x}}}", NULL,
          "node \"n1\" is not allowed to create pods with a non-nil configSource" },
        { ADMISSION_UPDATE, "", "nodes", "", "", "n1", "metadata: {labels: {kubernetes.io/a: new}}",
          "metadata: {labels: {kubernetes.io/a: old, k8s.io/b: old}}",
          "is not allowed to modify labels: k8s.io/b, kubernetes.io/a" },
        { ADMISSION_UPDATE, "", "nodes", "", "", "n1", "spec: {taints: [{key: a, effect: NoExecute}]}", "{}",
          "node \"n1\" is not allowed to modify taints" },
        { ADMISSION_UPDATE, "", "nodes", "", "", "n1", "spec: {taints: []}", "{}", NULL },
        { ADMISSION_UPDATE, "", "nodes", "", "", "n1", "metadata: {ownerReferences: [{name: a}]}", "{}",
          "node \"n1\" is not allowed to modify ownerReferences" },
        { ADMISSION_UPDATE, "", "persistentvolumeclaims", "", "ns", "x", "{}", "{}", "may only update PVC status" },
        { ADMISSION_UPDATE, "", "persistentvolumeclaims", "status", "ns", "x", "status: {capacity: {storage: 2Gi}}", "status: {}",
          NULL },
        { ADMISSION_CREATE, "", "serviceaccounts", "token", "ns", "x", "spec: {}", NULL, "node requested token not bound to a pod" },
        { ADMISSION_CREATE, "", "serviceaccounts", "token", "ns", "x",
          "spec: {boundObjectRef: {apiVersion: v1, kind: Pod, name: p}}", NULL,
          "node requested token with a pod binding without a uid" },
        { ADMISSION_CREATE, "", "serviceaccounts", "token", "ns", "x",
          "spec: {boundObjectRef: {apiVersion: v1, kind: Pod, name: p, uid: u}}", NULL, "pod \"p\" not found" },
        { ADMISSION_UPDATE, "coordination.k8s.io", "leases", "", "default", "n1", "{}", "{}",
          "can only access leases in the \"kube-node-lease\" system namespace" },
        { ADMISSION_DELETE, "coordination.k8s.io", "leases", "", "kube-node-lease", "n2", NULL, "{}",
          "can only access node lease with the same name as the requesting node" },
        { ADMISSION_CREATE, "storage.k8s.io", "csinodes", "", "", "n2", "{}", NULL,
          "can only access CSINode with the same name as the requesting node" },
        { ADMISSION_CREATE, "resource.k8s.io", "resourceslices", "", "", "x", "spec: {nodeName: n2}", NULL,
          "can only create ResourceSlice with the same NodeName as the requesting node" },
        { ADMISSION_DELETE, "resource.k8s.io", "resourceslices", "", "", "x", NULL, "spec: {nodeName: n2}",
          "can only delete ResourceSlice with the same NodeName as the requesting node" },
        { ADMISSION_CREATE, "certificates.k8s.io", "certificatesigningrequests", "", "", "x",
          "spec: {signerName: kubernetes.io/kubelet-serving, request: AAAA}", NULL,
          "unable to parse csr: PEM block type must be CERTIFICATE REQUEST" },
        { ADMISSION_CREATE, "certificates.k8s.io", "certificatesigningrequests", "", "", "x",
          "spec: {signerName: example.com/x, request: AAAA}", NULL, NULL },
};

static const char *const groups[] = { "system:nodes", NULL };

static const struct status *judge(struct arena *a, size_t i, const char *user)
{
        struct api_request *r = arena_calloc(a, sizeof(*r));
        struct json *object = NULL, *old = NULL;
        struct admission_attributes at = {
                .request = r, .op = cases[i].op, .res = builtin_resource(cases[i].group, "v1", cases[i].resource),
                .subresource = cases[i].sub, .namespace = cases[i].namespace, .name = cases[i].name,
        };

        assert_non_null(at.res);
        r->arena = a;
        r->user = (struct user_info){ .name = user, .uid = "", .groups = groups };
        if (cases[i].object)
                assert_int_equal(yaml_parse(a, cases[i].object, strlen(cases[i].object), NULL, &object, NULL), 0);
        if (cases[i].old)
                assert_int_equal(yaml_parse(a, cases[i].old, strlen(cases[i].old), NULL, &old, NULL), 0);
        at.object = object;
        at.old = old;
        return plugin_node_restriction.mutate(&at);
}

static void test_cases(void **state)
{
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                const struct status *st = judge(a, i, "system:node:n1");

                if (!cases[i].says ? st != NULL : !st || !str_has_suffix(st->message, cases[i].says))
                        fail_msg("%zu: %s", i, st ? st->message : "let in");
                assert_null(judge(a, i, "kubelet"));
        }
}

static void test_nameless(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);

        assert_string_equal(judge(a, 0, "system:node:")->message,
                            "configmaps \"x\" is forbidden: could not determine node from user \"system:node:\"");
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_cases), cmocka_unit_test(test_nameless) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
