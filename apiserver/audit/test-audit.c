/* The audit log: which rule a request fits, how an event reads, and what happens to its file. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../../lib/base/file.h"
#include "../../lib/json/yaml.h"
#include "audit.h"
#include "event.h"
#include "log.h"

static struct arena *a;

static int setup(void **state)
{
        a = arena_new(0);
        return 0;
}

static int teardown(void **state)
{
        arena_free(a);
        return 0;
}

static int read_policy(const char *text, struct audit_policy **ret, struct error *err)
{
        struct json *doc;

        assert_int_equal(yaml_parse(a, text, strlen(text), NULL, &doc, NULL), 0);
        return audit_policy_read(a, doc, ret, err);
}

static const char policy[] =
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nomitManagedFields: true\nrules:\n"
        "- {level: None, users: [system:kube-proxy], verbs: [watch], resources: [{group: '', resources: [endpoints, services]}]}\n"
        "- {level: None, userGroups: [system:authenticated], nonResourceURLs: ['/healthz*', /version]}\n"
        "- {level: Request, resources: [{group: '', resources: [pods]}], namespaces: [kube-system], omitManagedFields: false}\n"
        "- {level: RequestResponse, resources: [{group: apps, resources: ['*/scale', 'deployments/*']}], omitStages: [ResponseStarted]}\n"
        "- {level: RequestResponse, resources: [{group: '', resources: [configmaps], resourceNames: [c]}]}\n"
        "- {level: Metadata, resources: [{group: batch}, {group: '', resources: ['*']}]}\n";

static struct audit_decision decide(const char *user, const char *group, const char *verb, const char *api_group, const char *resource,
                                    const char *sub, const char *ns, const char *name, const char *path)
{
        const char *groups[] = {group, NULL};
        const struct audit_attributes at = {.user = user, .groups = groups, .verb = verb, .is_resource = !path, .namespace = ns,
                                            .group = api_group, .resource = resource, .subresource = sub, .name = name,
                                            .path = path ? path : "/api"};
        struct audit_policy *p;

        assert_int_equal(read_policy(policy, &p, NULL), 0);
        return audit_decide(p, &at);
}

static void test_policy(void **state)
{
        static const char proxy[] = "system:kube-proxy", all[] = "system:authenticated";
        struct audit_decision d;

        assert_int_equal(decide(proxy, all, "watch", "", "services", "", "", "", NULL).level, AUDIT_NONE);
        assert_int_equal(decide(proxy, all, "list", "", "services", "", "", "", NULL).level, AUDIT_METADATA);
        assert_int_equal(decide("x", all, "watch", "", "services", "", "", "", NULL).level, AUDIT_METADATA);
        assert_int_equal(decide("x", all, "get", "", "", "", "", "", "/healthz/etcd").level, AUDIT_NONE);
        assert_int_equal(decide("x", all, "get", "", "", "", "", "", "/version").level, AUDIT_NONE);
        d = decide("x", all, "create", "", "pods", "", "kube-system", "", NULL);
        assert_int_equal(d.level, AUDIT_REQUEST);
        assert_false(d.omit_managed_fields);
        assert_int_equal(d.omit_stages, AUDIT_STAGE_RECEIVED);
        assert_int_equal(decide("x", all, "create", "", "pods", "log", "kube-system", "", NULL).level, AUDIT_METADATA);
        d = decide("x", all, "update", "apps", "statefulsets", "scale", "n", "s", NULL);
        assert_int_equal(d.level, AUDIT_REQUEST_RESPONSE);
        assert_true(d.omit_managed_fields);
        assert_int_equal(d.omit_stages, AUDIT_STAGE_RECEIVED | AUDIT_STAGE_STARTED);
        assert_int_equal(decide("x", all, "get", "apps", "statefulsets", "", "n", "s", NULL).level, AUDIT_NONE);
        assert_int_equal(decide("x", all, "get", "apps", "deployments", "status", "n", "s", NULL).level, AUDIT_REQUEST_RESPONSE);
        assert_int_equal(decide("x", all, "get", "", "configmaps", "", "n", "c", NULL).level, AUDIT_REQUEST_RESPONSE);
        assert_int_equal(decide("x", all, "get", "", "configmaps", "", "n", "d", NULL).level, AUDIT_METADATA);
        assert_int_equal(decide("x", all, "get", "batch", "jobs", "", "n", "d", NULL).level, AUDIT_METADATA);
        assert_int_equal(decide(NULL, NULL, "get", "batch", "jobs", "", "n", "d", NULL).level, AUDIT_METADATA);
        assert_int_equal(decide(NULL, NULL, "get", "", "", "", "", "", "/version").level, AUDIT_NONE);
}

static void refuses(const char *rules, const char *text)
{
        _cleanup_error_ struct error err = ERROR_INIT;
        struct audit_policy *p;

        assert_true(read_policy(arena_printf(a, "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: %s\n", rules), &p, &err) < 0);
        if (!strstr(error_text(&err), text))
                fail_msg("%s", error_text(&err));
}

static void test_bad_policies(void **state)
{
        refuses("[]", "0 rules");
        refuses("[{}]", "rules[0].level: Required value");
        refuses("[{level: Metadata}, {level: All}]", "rules[1].level: Unsupported value: \"All\"");
        refuses("[{level: None, omitStages: [Never]}]", "rules[0].omitStages[0]: Invalid value: \"Never\"");
        refuses("[{level: None, nonResourceURLs: ['/a*b']}]", "must be the final character");
        refuses("[{level: None, nonResourceURLs: ['a']}]", "must begin with a '/'");
        refuses("[{level: None, nonResourceURLs: ['/a'], namespaces: [x]}]", "cannot apply to both");
}

static struct json *parse(const char *text)
{
        struct json *j = NULL;

        assert_int_equal(json_parse(a, text, strlen(text), NULL, &j, NULL), 0);
        return j;
}

static void test_event(void **state)
{
        struct audit_event e = {
                .arena = a, .decision = {.level = AUDIT_REQUEST_RESPONSE}, .id = "i-d", .uri = "/api/v1/x?a=\"b", .verb = "create", .agent = "me",
                .user = parse("{\"username\":\"u\"}"), .impersonated = parse("{\"username\":\"v\"}"), .ips = parse("[\"127.0.0.1\"]"),
                .ref = parse("{\"resource\":\"x\"}"), .status = parse("{\"kind\":\"Status\",\"status\":\"Failure\",\"reason\":\"NotFound\"}"),
                .annotations = parse("{\"k\":\"v\"}"), .request = "{\"q\":1}", .response = "{\"p\":1}", .code = 404,
        };
        _cleanup_strbuf_ struct strbuf line = STRBUF_INIT;

        audit_event_write(&e, AUDIT_STAGE_RECEIVED, 1000, &line);
        assert_string_equal(line.data, "{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":\"RequestResponse\",\"auditID\":\"i-d\","
                                       "\"stage\":\"RequestReceived\",\"requestURI\":\"/api/v1/x?a=\\\"b\",\"verb\":\"create\",\"user\":{\"username\":\"u\"},"
                                       "\"sourceIPs\":[\"127.0.0.1\"],\"userAgent\":\"me\",\"objectRef\":{\"resource\":\"x\"},"
                                       "\"requestReceivedTimestamp\":\"1970-01-01T00:00:00.000000Z\",\"stageTimestamp\":\"1970-01-01T00:00:00.000001Z\"}\n");
        strbuf_reset(&line);
        audit_event_write(&e, AUDIT_STAGE_COMPLETE, 1000, &line);
        assert_non_null(strstr(line.data, "\"user\":{\"username\":\"u\"},\"impersonatedUser\":{\"username\":\"v\"},"));
        assert_non_null(strstr(line.data, "\"responseStatus\":{\"metadata\":{},\"status\":\"Failure\",\"reason\":\"NotFound\",\"code\":404},"
                                          "\"requestObject\":{\"q\":1},\"responseObject\":{\"p\":1},"));
        assert_true(str_has_suffix(line.data, ",\"annotations\":{\"k\":\"v\"}}\n"));
        e.arena = a;
        audit_event_cut(&e);
        strbuf_reset(&line);
        audit_event_write(&e, AUDIT_STAGE_COMPLETE, 1000, &line);
        assert_null(strstr(line.data, "Object\":{"));
        assert_true(str_has_suffix(line.data, ",\"annotations\":{\"k\":\"v\",\"audit.k8s.io/truncated\":\"true\"}}\n"));
        e.ref = parse("{\"metadata\":{\"name\":\"a\",\"managedFields\":[]},\"items\":[{\"metadata\":{\"managedFields\":[1]}}]}");
        audit_strip(e.ref);
        assert_string_equal(json_print(a, e.ref), "{\"metadata\":{\"name\":\"a\"},\"items\":[{\"metadata\":{}}]}");
}

static void test_backup_names(void **state)
{
        int64_t when;

        assert_true(audit_backup_time("audit.log", "audit-1970-01-02T00-00-01.500.log", &when));
        assert_int_equal(when, 86401);
        assert_true(audit_backup_time("audit", "audit-1970-01-02T00-00-01.500", &when));
        assert_false(audit_backup_time("audit.log", "audit.log", &when));
        assert_false(audit_backup_time("audit.log", "audit-1970-01-02T00-00-01.500.txt", &when));
        assert_false(audit_backup_time("audit.log", "audit-1970-01-02T00-00-xx.500.log", &when));
        assert_false(audit_backup_time("audit.log", "other-1970-01-02T00-00-01.500.log", &when));
}

/* Files do not grow past their size, lines stay whole, and old files go. */
static void test_rotation(void **state)
{
        char dir[] = "/tmp/test-audit.XXXXXX", command[100];
        struct loop *loop = loop_new();
        struct audit_log_options o = {.max_size = 100, .max_backups = 2};
        _cleanup_free_ char *text = NULL;
        struct audit_log *l;
        uint64_t lines, lost;
        struct stat st;
        FILE *list;
        int files = 0;

        assert_non_null(mkdtemp(dir));
        o.path = arena_printf(a, "%s/audit.log", dir);
        assert_int_equal(audit_log_open(loop, &o, &l, NULL), 0);
        for (int i = 0; i < 40; i++) {
                audit_log_line(l, "0123456789012345678901234567890123456789\n", 41);
                if (i % 4 == 3)
                        loop_turn(loop, 0);
        }
        audit_log_counts(l, &lines, &lost);
        assert_int_equal(lines, 40);
        audit_log_close(l);
        assert_int_equal(stat(o.path, &st), 0);
        assert_true(st.st_size <= 100 && st.st_size % 41 == 0);
        snprintf(command, sizeof(command), "ls %s", dir);
        list = popen(command, "r");
        while (fgets(command, sizeof(command), list))
                files++;
        pclose(list);
        assert_true(files <= 3 && files > 1);
        snprintf(command, sizeof(command), "rm -r %s", dir);
        assert_int_equal(system(command), 0);
        loop_free(loop);
}

/* A disk that takes nothing loses events, and says how many. */
static void test_full_disk(void **state)
{
        struct loop *loop = loop_new();
        struct audit_log_options o = {.path = "/dev/full"};
        struct audit_log *l;
        uint64_t lines, lost = 0;

        assert_int_equal(audit_log_open(loop, &o, &l, NULL), 0);
        audit_log_line(l, "a\n", 2);
        audit_log_line(l, "b\n", 2);
        while (lost < 2) {
                loop_turn(loop, -1);
                audit_log_counts(l, &lines, &lost);
        }
        assert_int_equal(lost, 2);
        audit_log_close(l);
        o.path = "/nowhere/at/all";
        assert_int_equal(audit_log_open(loop, &o, &l, NULL), -ENOENT);
        loop_free(loop);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_policy, setup, teardown),
                cmocka_unit_test_setup_teardown(test_bad_policies, setup, teardown),
                cmocka_unit_test_setup_teardown(test_event, setup, teardown),
                cmocka_unit_test_setup_teardown(test_backup_names, setup, teardown),
                cmocka_unit_test_setup_teardown(test_rotation, setup, teardown),
                cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
