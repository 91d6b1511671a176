/* The Pod Security Standards by examples: a pod, a profile, what is said of it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../lib/json/yaml.h"
#include "pod-security-checks.h"

#define GOOD "securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}\n"
#define TIGHT "securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}"

static const struct {
        const char *spec, *level, *version, *says; /* NULL: nothing */
        const char *metadata;
} cases[] = {
        { "containers: [{name: c}]", "privileged", "latest", NULL },
        { "containers: [{name: c}]", "baseline", "latest", NULL },
        { GOOD "containers: [{name: c, " TIGHT "}]", "restricted", "latest", NULL },
        { "hostIPC: true\nhostNetwork: true\ncontainers: [{name: c}]", "baseline", "latest",
          "host namespaces (hostNetwork=true, hostIPC=true)" },
        { "containers: [{name: a, ports: [{hostPort: 9}, {hostPort: 10}]}, {name: b, ports: [{hostPort: 9}]}]", "baseline",
          "latest", "hostPort (containers \"a\", \"b\" use hostPorts 10, 9)" },
        { "initContainers: [{name: i, securityContext: {privileged: true}}]\ncontainers: [{name: c}]", "baseline", "latest",
          "privileged (container \"i\" must not set securityContext.privileged=true)" },
        { "containers: [{name: c, livenessProbe: {tcpSocket: {host: h}}}]", "baseline", "latest",
          "probe or lifecycle host (container \"c\" uses probe or lifecycle host \"h\")" },
        { "containers: [{name: c, livenessProbe: {tcpSocket: {host: h}}}]", "baseline", "v1.33", NULL },
        { "securityContext: {seLinuxOptions: {type: x, user: u}}\ncontainers: [{name: c, securityContext: {seLinuxOptions: "
          "{role: r}}}]", "baseline", "latest",
          "seLinuxOptions (pod and container \"c\" set forbidden securityContext.seLinuxOptions: type \"x\"; user may not be "
          "set; role may not be set)" },
        { "securityContext: {sysctls: [{name: net.ipv4.tcp_rmem}]}\ncontainers: [{name: c}]", "baseline", "v1.31",
          "forbidden sysctls (net.ipv4.tcp_rmem)" },
        { "securityContext: {sysctls: [{name: net.ipv4.tcp_rmem}]}\ncontainers: [{name: c}]", "baseline", "v1.32", NULL },
        { GOOD "volumes: [{name: v, hostPath: {path: /}}, {name: w, emptyDir: {}}]\ncontainers: [{name: c, " TIGHT "}]",
          "restricted", "latest", "restricted volume types (volume \"v\" uses restricted volume type \"hostPath\")" },
        { "securityContext: {runAsNonRoot: false, seccompProfile: {type: Unconfined}}\ncontainers: [{name: c, " TIGHT "}]",
          "restricted", "latest",
          "runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false), seccompProfile (pod must not set "
          "securityContext.seccompProfile.type to \"Unconfined\")" },
        { "os: {name: windows}\nsecurityContext: {runAsNonRoot: true}\ncontainers: [{name: c}]", "restricted", "latest", NULL },
        { "hostUsers: false\nsecurityContext: {runAsUser: 0, seccompProfile: {type: Localhost}}\ncontainers: [{name: c, " TIGHT
          "}]", "restricted", "latest", NULL },
        { "hostUsers: false\nsecurityContext: {runAsUser: 0, runAsNonRoot: true, seccompProfile: {type: Localhost}}\n"
          "containers: [{name: c, " TIGHT "}]", "restricted", "v1.30", "runAsUser=0 (pod must not set runAsUser=0)" },
        /* what is forbidden stands in the pod's order */
        { "securityContext: {sysctls: [{name: z}, {name: a}]}\ncontainers: [{name: c}]", "baseline", "latest",
          "forbidden sysctls (z, a)" },
        { "securityContext: {appArmorProfile: {type: Unconfined}}\ncontainers: [{name: c}]", "baseline", "latest",
          "forbidden AppArmor profiles (pod and annotation must not set AppArmor profile type to \"Unconfined\", "
          "\"container.apparmor.security.beta.kubernetes.io/c=\"unconfined\"\")",
          "annotations: {container.apparmor.security.beta.kubernetes.io/c: unconfined}" },
        /* checks of the baseline hold for the restricted profile until it has its own */
        { "containers: [{name: c, securityContext: {procMount: Unmasked, runAsNonRoot: true, capabilities: {add: [SYS_TIME]}}}]",
          "restricted", "v1.18",
          "non-default capabilities (container \"c\" must not include \"SYS_TIME\" in securityContext.capabilities.add), "
          "procMount (container \"c\" must not set securityContext.procMount to \"Unmasked\"), seccompProfile (forbidden "
          "annotation seccomp.security.alpha.kubernetes.io/pod=\"unconfined\"), allowPrivilegeEscalation != false (container "
          "\"c\" must set securityContext.allowPrivilegeEscalation=false)",
          "annotations: {seccomp.security.alpha.kubernetes.io/pod: unconfined}" },
};

static void test_cases(void **state)
{
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                struct pod_security_policy policy = { cases[i].level, cases[i].version, 0 };
                struct json *spec = NULL, *metadata = NULL;
                const char *says, *text = cases[i].metadata;

                assert_true(pod_security_version(cases[i].version, &policy.minor));
                if (text)
                        assert_int_equal(yaml_parse(a, text, strlen(text), NULL, &metadata, NULL), 0);
                assert_int_equal(yaml_parse(a, cases[i].spec, strlen(cases[i].spec), NULL, &spec, NULL), 0);
                says = pod_security_violations(a, metadata, spec, &policy, true);
                if (!cases[i].says)
                        assert_null(says);
                else
                        assert_string_equal(says, cases[i].says);
        }
}

static void test_versions(void **state)
{
        static const char *const bad[] = { "", "v1", "v1.", "v1.x", "1.30", "v2.0", "v1.030", "v1.3 " };
        int minor;

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_false(pod_security_version(bad[i], &minor));
        assert_true(pod_security_version("v1.0", &minor));
        assert_int_equal(minor, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_cases), cmocka_unit_test(test_versions) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
