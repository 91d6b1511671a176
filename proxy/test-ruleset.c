/* Transactions, carried out by a small kernel of our own that knows what refers to what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "../lib/base/map.h"
#include "ruleset.h"

/* --- the kernel: sets, chains and elements by name; what they say as text --- */

struct kernel {
        struct map sets, chains; /* name to text (malloc'd) */
        struct map elements;     /* "map key" to value */
};

static void map_free_all(struct map *m)
{
        struct map_entry *e;

        map_foreach(m, e)
                free(e->value);
        map_deinit(m);
}

static void kernel_deinit(struct kernel *k)
{
        map_free_all(&k->sets);
        map_free_all(&k->chains);
        map_free_all(&k->elements);
}

static bool mentions(const struct map *m, const char *name)
{
        struct map_entry *e;

        map_foreach(m, e) {
                const char *at = e->value;

                while ((at = strstr(at, name))) {
                        char before = at > (char *)e->value ? at[-1] : ' ', after = at[strlen(name)];

                        if (strchr(" @", before) && (!after || strchr(" \n", after)))
                                return true;
                        at++;
                }
        }
        return false;
}

static void put(struct map *m, const char *key, const char *value)
{
        assert_false(map_has(m, key)); /* all of ours are created once */
        map_put(m, key, xstrdup(value));
}

static void drop(struct map *m, const char *key)
{
        void *value = map_del(m, key);

        if (!value)
                fail_msg("%s is not there to be deleted", key);
        free(value);
}

/* "services { a : b,\n c : d }" */
static void elements(struct kernel *k, bool adding, char *args)
{
        char *space = strchr(args, ' '), *save = NULL, *list = strchr(args, '{') + 1;

        *space = '\0';
        *strrchr(list, '}') = '\0';
        for (char *item = strtok_r(list, ",", &save); item; item = strtok_r(NULL, ",", &save)) {
                char *colon = strstr(item, " : "), *end = item + strlen(item);
                _cleanup_free_ char *key = NULL;

                item += strspn(item, " \n");
                while (end > item && end[-1] == ' ')
                        *--end = '\0';
                if (colon)
                        *colon = '\0';
                key = xasprintf("%s %s", args, item);
                if (adding)
                        put(&k->elements, key, colon ? colon + 3 : "");
                else
                        drop(&k->elements, key);
        }
}

static void command(struct kernel *k, char *text)
{
        char verb[16], what[16], name[128];
        int len;

        if (sscanf(text, "%15s %15s ip t%n", verb, what, &len) < 2)
                fail_msg("not understood: %s", text);
        if (streq(what, "table"))
                return;
        if (streq(what, "element")) {
                elements(k, streq(verb, "add"), text + len + 1);
                return;
        }
        assert_int_equal(sscanf(text + len, " %127s", name), 1);
        text += len + 1 + strlen(name);
        if (streq(what, "set") && streq(verb, "add")) {
                put(&k->sets, name, text);
        } else if (streq(what, "set")) {
                assert_false(mentions(&k->chains, name));
                drop(&k->sets, name);
        } else if (streq(verb, "add") && streq(what, "chain")) {
                put(&k->chains, name, "");
        } else if (streq(verb, "flush")) {
                drop(&k->chains, name);
                put(&k->chains, name, "");
        } else if (streq(verb, "delete")) {
                assert_string_equal(map_get(&k->chains, name), "");
                assert_false(mentions(&k->chains, name));
                assert_false(mentions(&k->elements, name));
                drop(&k->chains, name);
        } else { /* add rule */
                char *old = map_del(&k->chains, name);

                assert_non_null(old);
                put(&k->chains, name, "");
                free(map_put(&k->chains, name, xasprintf("%s%s\n", old, text + 1)));
                free(old);
        }
}

static void execute(struct kernel *k, const char *text)
{
        _cleanup_free_ char *copy = xstrdup(text);

        if (str_has_prefix(copy, "add table ip t\ndelete table ip t\n")) {
                kernel_deinit(k);
                *k = (struct kernel){ 0 };
        }
        for (char *line = copy, *end; *line; line = end + 1) {
                end = strchr(line, '\n');
                while (end[-1] == ',') /* elements go over several lines */
                        end = strchr(end + 1, '\n');
                *end = '\0';
                command(k, line);
        }
}

static void same(const struct map *want, const struct map *have)
{
        struct map_entry *e;

        map_foreach(want, e)
                if (!streq(e->value, map_get(have, e->key)))
                        fail_msg("%s: \"%s\", wanted \"%s\"", e->key, (char *)map_get(have, e->key), (char *)e->value);
        assert_int_equal(want->n, have->n);
}

/* --- random Services --- */

static unsigned seed;

static unsigned pick(unsigned n)
{
        seed = seed * 1103515245 + 12345;
        return (seed >> 16) % n;
}

/* Few addresses, so that Services share endpoints and quarrel about external addresses. */
static void random_service(struct rules *r, struct arena *a, unsigned number)
{
        struct service_endpoint *endpoints = arena_calloc(a, 4 * sizeof(*endpoints));
        struct service_port *ports = arena_calloc(a, 2 * sizeof(*ports));
        static const char *external[] = { "1.1.1.1", "1.1.1.2" };
        const struct rules_options o = { .table = "t", .cluster_cidr = "10.244.0.0/16" };
        struct service s = {
                .namespace = "d", .name = arena_printf(a, "s%u", number), .ports = ports, .n_ports = pick(3),
                .cluster_ip = arena_printf(a, "10.96.0.%u", number), .affinity_s = pick(3) ? 0 : pick(2) + 1,
                .external_local = pick(2), .internal_local = pick(3) == 0,
                .external_ips = external + pick(2), .n_external_ips = pick(2),
        };

        for (unsigned i = 0; i < 4; i++)
                endpoints[i] = (struct service_endpoint){
                        .ip = arena_printf(a, "10.244.0.%u", i + pick(2) * 4), .port = 8080, .local = pick(2),
                        .ready = pick(2), .fallback = true,
                };
        for (unsigned i = 0; i < s.n_ports; i++)
                ports[i] = (struct service_port){
                        .port = 80 + i, .node_port = pick(3) ? 0 : 30000 + number * 2 + i, .endpoints = endpoints,
                        .n_endpoints = pick(5),
                };
        rules_service(&o, &s, r);
}

/* Steps: one Service changes or goes; then the kernel, which may refuse, and must have it right in the end. */
static void run(unsigned number)
{
        struct ruleset *rs = ruleset_new("t", "");
        struct kernel changed = { 0 }, fresh = { 0 };
        bool full = true;

        seed = number;
        for (unsigned step = 0; step < 40; step++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                _cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
                struct rules rules = { .arena = a };
                unsigned service = pick(5);
                _cleanup_free_ char *owner = xasprintf("d/s%u", service);
                bool refused = pick(10) == 0, late = pick(5) == 0;

                random_service(&rules, a, service);
                if (!late)
                        ruleset_set(rs, owner, pick(4) ? &rules : NULL);
                ruleset_begin(rs, full, &text);
                if (late) /* while the transaction is under way */
                        ruleset_set(rs, owner, pick(4) ? &rules : NULL);
                if (!refused)
                        execute(&changed, strbuf_str(&text));
                full = refused;
                ruleset_end(rs, !refused);
                rules_deinit(&rules);
        }
        for (int i = 0; i < 2; i++) {
                _cleanup_strbuf_ struct strbuf text = STRBUF_INIT;

                ruleset_begin(rs, full || i, &text);
                execute(i ? &fresh : &changed, strbuf_str(&text));
                ruleset_end(rs, true);
                assert_false(ruleset_dirty(rs));
                full = false;
        }
        same(&fresh.sets, &changed.sets);
        same(&fresh.chains, &changed.chains);
        same(&fresh.elements, &changed.elements);
        kernel_deinit(&changed);
        kernel_deinit(&fresh);
        ruleset_free(rs);
}

static void test_random_orders(void **state)
{
        for (unsigned i = 0; i < 500; i++)
                run(i);
}

/* --- texts --- */

static char *transaction(struct ruleset *rs, bool full)
{
        struct strbuf text = STRBUF_INIT;

        ruleset_begin(rs, full, &text);
        ruleset_end(rs, true);
        return strbuf_steal(&text);
}

static void set(struct ruleset *rs, const char *owner, const char *chain, const char *element, const char *value)
{
        struct rule items[] = {
                { RULE_CHAIN, "svc/x", chain },
                { RULE_ELEMENT, element, value },
        };
        struct rules rules = { .items = items, .n = 2 };

        ruleset_set(rs, owner, &rules);
}

static void expect(struct ruleset *rs, bool full, const char *wanted)
{
        _cleanup_free_ char *text = transaction(rs, full);

        assert_string_equal(text, wanted);
}

static void test_only_what_changed(void **state)
{
        struct ruleset *rs = ruleset_new("t", "table ip t { }\n");

        set(rs, "d/x", "one\ntwo\n", "services a", "goto svc/x");
        expect(rs, true,
               "add table ip t\ndelete table ip t\ntable ip t { }\nadd chain ip t svc/x\n"
               "add rule ip t svc/x one\nadd rule ip t svc/x two\nadd element ip t services { a : goto svc/x }\n");
        expect(rs, false, "");
        set(rs, "d/x", "one\ntwo\n", "services a", "goto svc/x");
        expect(rs, false, "");
        set(rs, "d/x", "three\n", "services a", "goto svc/x");
        expect(rs, false, "flush chain ip t svc/x\nadd rule ip t svc/x three\n");
        set(rs, "d/x", "three\n", "services a", "drop");
        expect(rs, false, "delete element ip t services { a }\nadd element ip t services { a : drop }\n");
        ruleset_set(rs, "d/x", NULL);
        expect(rs, false, "flush chain ip t svc/x\ndelete element ip t services { a }\ndelete chain ip t svc/x\n");
        assert_int_equal(ruleset_size(rs), 0);
        ruleset_free(rs);
}

/* The first by name has an address, whoever claimed it first; the other has it when that one goes. */
static void test_two_claims(void **state)
{
        struct ruleset *rs = ruleset_new("t", "");
        struct rule first = { RULE_ELEMENT, "services a", "goto one" }, second = { RULE_ELEMENT, "services a", "goto two" };
        struct rules one = { .items = &first, .n = 1 }, two = { .items = &second, .n = 1 };

        ruleset_set(rs, "d/two", &two);
        expect(rs, false, "add element ip t services { a : goto two }\n");
        ruleset_set(rs, "d/one", &one);
        expect(rs, false, "delete element ip t services { a }\nadd element ip t services { a : goto one }\n");
        ruleset_set(rs, "d/two", NULL);
        expect(rs, false, "");
        ruleset_set(rs, "d/two", &two);
        ruleset_set(rs, "d/one", NULL);
        expect(rs, false, "delete element ip t services { a }\nadd element ip t services { a : goto two }\n");
        ruleset_set(rs, "d/two", NULL);
        expect(rs, false, "delete element ip t services { a }\n");
        ruleset_free(rs);
}

static void list(struct ruleset *rs, const char *values)
{
        struct rule item = { RULE_LIST, "endpoints a", values };
        struct rules rules = { .items = &item, .n = 1 };

        ruleset_set(rs, "d/x", &rules);
}

static void test_lists(void **state)
{
        struct ruleset *rs = ruleset_new("t", "");

        list(rs, "x\ny\n");
        expect(rs, false, "add element ip t endpoints { a . 0 : x,\na . 1 : y }\n");
        list(rs, "x\ny\nz\n");
        expect(rs, false, "add element ip t endpoints { a . 2 : z }\n");
        list(rs, "x\nz\n");
        expect(rs, false,
               "delete element ip t endpoints { a . 1,\na . 2 }\nadd element ip t endpoints { a . 1 : z }\n");
        expect(rs, true,
               "add table ip t\ndelete table ip t\nadd element ip t endpoints { a . 0 : x,\na . 1 : z }\n");
        ruleset_set(rs, "d/x", NULL);
        expect(rs, false, "delete element ip t endpoints { a . 0,\na . 1 }\n");
        assert_int_equal(ruleset_size(rs), 0);
        ruleset_free(rs);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_only_what_changed),
                cmocka_unit_test(test_two_claims),
                cmocka_unit_test(test_lists),
                cmocka_unit_test(test_random_orders),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
