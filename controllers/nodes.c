/* Which nodes a pod may be on: selectors, affinity terms, taints. */
#include "nodes.h"

bool toleration_matches(const struct json *toleration, const struct json *taint)
{
        const char *key = json_get_string(toleration, "key"), *effect = json_get_string(toleration, "effect");
        const char *op = json_get_string(toleration, "operator"), *want = json_get_string(toleration, "value");
        const char *value = json_get_string(taint, "value");

        if (!str_empty(effect) && !streq(effect, json_get_string(taint, "effect")))
                return false;
        if (!str_empty(key) && !streq(key, json_get_string(taint, "key")))
                return false;
        if (streq(op, "Exists"))
                return true;
        return !str_empty(key) && streq(want ? want : "", value ? value : "");
}

bool is_tolerated(const struct json *tolerations, const struct json *taint)
{
        json_foreach_item(tolerations, t) {
                if (toleration_matches(t, taint))
                        return true;
        }
        return false;
}

static bool value_in(const struct json *values, const char *have)
{
        json_foreach_item(values, v) {
                if (streq(json_string(v), have))
                        return true;
        }
        return false;
}

static bool requirement_matches(const struct json *r, const char *have)
{
        const char *op = json_get_string(r, "operator");
        const struct json *values = json_get(r, "values");
        const char *limit = json_string(json_at(values, 0));

        if (streq(op, "Exists"))
                return have != NULL;
        if (streq(op, "DoesNotExist"))
                return have == NULL;
        if (streq(op, "In"))
                return have && value_in(values, have);
        if (streq(op, "NotIn"))
                return !have || !value_in(values, have);
        if (!have || !limit)
                return false;
        if (streq(op, "Gt"))
                return strtoll(have, NULL, 10) > strtoll(limit, NULL, 10);
        return streq(op, "Lt") && strtoll(have, NULL, 10) < strtoll(limit, NULL, 10);
}

static bool term_matches(const struct json *term, const struct object *node)
{
        const struct json *labels = json_get(term, "matchExpressions"), *fields = json_get(term, "matchFields");

        if (!json_len(labels) && !json_len(fields))
                return false;
        json_foreach_item(labels, r) {
                if (!requirement_matches(r, object_label(node->json, json_get_string(r, "key"))))
                        return false;
        }
        json_foreach_item(fields, r) {
                if (!streq(json_get_string(r, "key"), "metadata.name") || !requirement_matches(r, node->name))
                        return false;
        }
        return true;
}

bool node_is_selected(const struct json *spec, const struct object *node)
{
        const struct json *required =
                json_path(spec, "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution");

        json_foreach_member(json_get(spec, "nodeSelector"), m) {
                if (!streq(object_label(node->json, m->key), json_string(m->value)))
                        return false;
        }
        if (!required)
                return true;
        json_foreach_item(json_get(required, "nodeSelectorTerms"), term) {
                if (term_matches(term, node))
                        return true;
        }
        return false;
}
