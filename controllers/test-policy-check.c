/* Which kinds a policy's rules name, and what the types in its expressions are warned of. */
#include "test-world.h"
#include "policy-check.h"

static struct json *parse(struct arena *a, const char *text)
{
        char *copy = arena_strdup(a, text);
        _cleanup_error_ struct error err = ERROR_INIT;
        struct json *j;

        for (char *p = copy; *p; p++)
                if (*p == '\'')
                        *p = '"';
        if (json_parse(a, copy, strlen(copy), NULL, &j, &err) < 0)
                fail_msg("%s: %s", text, error_text(&err));
        return j;
}

#define RESOURCE(name, singular, kind) "{'resource':'" name "','singularResource':'" singular "','responseKind':{'kind':'" kind "'}}"
static const char api[] = "{'items':[{'metadata':{},'versions':[{'version':'v1','resources':[" RESOURCE("pods", "pod", "Pod") ","
                          RESOURCE("events", "event", "Event") "]}]}]}";
static const char apis[] = "{'items':[{'metadata':{'name':'apps'},'versions':[{'version':'v1','resources':["
                           RESOURCE("deployments", "deployment", "Deployment") "," RESOURCE("daemonsets", "daemonset", "DaemonSet") "]}]},"
                           "{'metadata':{'name':'events.k8s.io'},'versions':[{'version':'v1','resources':[" RESOURCE("events", "event", "Event") "]}]}]}";

#define RULE(groups, versions, resources) "{'apiGroups':[" groups "],'apiVersions':[" versions "],'resources':[" resources "]}"

static void test_kinds(void **state)
{
        static const struct {
                const char *rules, *kinds;
        } cases[] = {
                { RULE("'apps'", "'v1'", "'deployments'"), "apps/v1/Deployment " },
                { RULE("'apps'", "'v1'", "'deployments','daemonsets','deployments/scale','*'"), "apps/v1/DaemonSet apps/v1/Deployment " },
                { RULE("'apps'", "'v1'", "'deployment'"), "apps/v1/Deployment " },
                { RULE("'apps','*'", "'v1'", "'deployments'"), "" },
                { RULE("'apps'", "'*'", "'deployments'"), "" },
                { RULE("'apps'", "'v2'", "'deployments'"), "" },
                { RULE("''", "'v1'", "'events'"), "/v1/Event events.k8s.io/v1/Event " }, /* no group is any group */
                { RULE("'apps'", "'v1'", "'deployments'") "," RULE("''", "'v1'", "'pods'"), "/v1/Pod apps/v1/Deployment " },
        };
        struct world *w = *state;
        const struct json *discovery[2] = { parse(w->arena, api), parse(w->arena, apis) };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct json *policy = parse(w->arena, arena_printf(w->arena, "{'spec':{'matchConstraints':{'resourceRules':[%s]}}}", cases[i].rules));
                struct policy_kind kinds[POLICY_KINDS_MAX];
                _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
                size_t n = policy_kinds(w->arena, policy, discovery, kinds);

                for (size_t k = 0; k < n; k++)
                        strbuf_printf(&b, "%s/%s/%s ", kinds[k].group, kinds[k].version, kinds[k].kind);
                assert_string_equal(strbuf_str(&b), cases[i].kinds);
        }
}

static const char document[] =
        "{'components':{'schemas':{"
        "'Thing':{'type':'object','x-kubernetes-group-version-kind':[{'group':'x.com','version':'v1','kind':'Thing'}],'properties':{"
        "'spec':{'allOf':[{'$ref':'#/components/schemas/Spec'}]},'self':{'$ref':'#/components/schemas/Node'}}},"
        "'Spec':{'type':'object','properties':{'n':{'type':'integer'},'s':{'type':'string'},'port':{'format':'int-or-string','oneOf':[{}]},"
        "'amount':{'oneOf':[{}]},'a-b':{'type':'string'}}},"
        "'Node':{'type':'object','properties':{'next':{'$ref':'#/components/schemas/Node'}}}}}}";

static const struct json *find_schema(void *userdata, const char *ref)
{
        return json_get(json_path(userdata, "components.schemas"), strrchr(ref, '/') + 1);
}

static void test_warnings(void **state)
{
        static const struct {
                const char *expression, *warning; /* NULL: none */
        } cases[] = {
                { "object.spec.n > 1", NULL },
                { "object.spec.foo > 1", "x.com/v1, Kind=Thing: ERROR: <input>:1:12: undefined field 'foo'\n | object.spec.foo > 1\n | ...........^\n" },
                { "object.metadata.name + 1", "x.com/v1, Kind=Thing: ERROR: <input>:1:22: found no matching overload for '_+_' applied to "
                                              "'(string, int)'\n | object.metadata.name + 1\n | .....................^\n" },
                { "object.spec.port == 1 || object.spec.port == \\\"x\\\"", NULL },
                { "object.spec.amount == 1", "x.com/v1, Kind=Thing: ERROR: <input>:1:12: undefined field 'amount'\n | object.spec.amount == 1\n"
                                             " | ...........^\n" },
                { "object.spec.a__dash__b == variables.s", NULL },
                { "variables.n == variables.s", "x.com/v1, Kind=Thing: ERROR: <input>:1:13: found no matching overload for '_==_' applied to "
                                                "'(int, string)'\n | variables.n == variables.s\n | ............^\n" },
                { "variables.bad.anything", NULL },
                { "object.self.next.next", "x.com/v1, Kind=Thing: ERROR: <input>:1:17: undefined field 'next'\n | object.self.next.next\n"
                                           " | ................^\n" },
        };
        struct world *w = *state;
        struct policy_kind k = { "x.com", "v1", "Thing", NULL };
        struct json *doc = parse(w->arena, document);
        struct cel_schemas schemas = { .find = find_schema, .userdata = doc };

        k.shape = cel_schema_shape(w->arena, policy_schema(doc, &k), true, "Thing", &schemas);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct json *policy = parse(w->arena, arena_printf(w->arena, "{'spec':{'variables':[{'name':'n','expression':'object.spec.n'},"
                                                                   "{'name':'s','expression':'object.spec.s'},{'name':'bad','expression':'object.nope'}],"
                                                                   "'validations':[{'expression':'%s'}]}}", cases[i].expression));
                const struct json *all = policy_warnings(w->arena, policy, &k, 1, NULL);

                assert_int_equal(json_len(all), cases[i].warning != NULL);
                if (cases[i].warning)
                        assert_string_equal(json_get_string(json_at(all, 0), "warning"), cases[i].warning);
        }
        assert_null(policy_schema(doc, &(struct policy_kind){ "x.com", "v2", "Thing", NULL }));
}

static void test_params(void **state)
{
        struct world *w = *state;
        struct policy_kind params = { 0 }, k = { "", "v1", "Pod", NULL };
        struct json *policy = parse(w->arena, "{'spec':{'paramKind':{'apiVersion':'x.com/v1','kind':'Thing'},'validations':["
                                              "{'expression':'params.any == 1','messageExpression':'params.any + string(1)'}]}}");
        const struct json *all;

        assert_true(policy_params(w->arena, policy, &params));
        assert_string_equal(params.group, "x.com");
        all = policy_warnings(w->arena, policy, &k, 1, &params); /* of no known type: anything goes */
        assert_int_equal(json_len(all), 0);
        all = policy_warnings(w->arena, policy, &k, 1, NULL);
        assert_int_equal(json_len(all), 2);
        assert_string_equal(json_get_string(json_at(all, 1), "fieldRef"), "spec.validations[0].messageExpression");
        assert_true(str_has_prefix(json_get_string(json_at(all, 0), "warning"), "/v1, Kind=Pod: ERROR: <input>:1:1: undeclared reference to 'params'"));
}

int main(void)
{
        const struct CMUnitTest tests[] = { TEST(test_kinds), TEST(test_warnings), TEST(test_params) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
