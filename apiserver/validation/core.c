/* What rules about the small kinds of the core group cannot say: nodes, namespaces, config maps. */
#include <ctype.h>

#include "../../lib/meta/quantity.h"
#include "functions.h"
#include "metadata.h"
#include "resources.h"

void check_config_key(struct check *c, const struct at *at)
{
        name_validate_string(c->errs, NAME_CONFIG_KEY, at_path(c, at), at->name);
}

bool cond_over_two(struct check *c, const struct at *at)
{
        unused(c);
        return json_len(at->j) > 2;
}

void check_config_data(struct check *c, const struct at *at)
{
        const struct at *data = at_field(c, at, "data"), *binary = at_field(c, at, "binaryData");
        size_t total = 0;

        json_foreach_member(data->j, m) {
                const struct at *e = at_entry(c, data, m);

                name_validate_string(c->errs, NAME_CONFIG_KEY, at_path(c, e), m->key);
                if (json_get(binary->j, m->key))
                        field_error_add(c->errs, FIELD_INVALID, at_path(c, e), json_new_string(c->a, m->key),
                                        "duplicate of key present in binaryData");
                if (json_is_string(m->value))
                        total += m->value->len;
        }
        json_foreach_member(binary->j, m) {
                name_validate_string(c->errs, NAME_CONFIG_KEY, at_path(c, at_entry(c, binary, m)), m->key);
                if (json_is_string(m->value))
                        total += m->value->len / 4 * 3;
        }
        if (total > 1 << 20)
                field_error_add(c->errs, FIELD_TOO_LONG, "[]", NULL, "may not be more than %d bytes", 1 << 20);
}

/* How long a taint is tolerated does not tell two tolerations apart. */
static bool same_toleration(const struct json *a, const struct json *b)
{
        static const char *const fields[] = { "key", "operator", "value", "effect" };

        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                if (!streq(json_get_string(a, fields[i]) ?: "", json_get_string(b, fields[i]) ?: ""))
                        return false;
        return true;
}

void check_toleration_once(struct check *c, const struct at *at)
{
        for (size_t i = 0; i < at->index; i++)
                if (same_toleration(json_at(at->up->j, i), at->j)) {
                        field_error_add_text(c->errs, FIELD_DUPLICATE, at_path(c, at), go_struct(c, at), NULL);
                        return;
                }
}

/* --- namespaces --- */

static void check_finalizer_of(struct check *c, const struct at *at, const char *path)
{
        static const char *const standard[] = { "kubernetes", "orphan", "foregroundDeletion" };
        bool known = strchr(text_at(at), '/');

        name_validate(c->errs, NAME_QUALIFIED, path, at->j);
        for (size_t i = 0; i < ARRAY_SIZE(standard); i++)
                known |= streq(text_at(at), standard[i]);
        if (!known)
                field_error_add(c->errs, FIELD_INVALID, path, at->j,
                                "name is neither a standard finalizer name nor is it fully qualified");
}

void check_finalizer(struct check *c, const struct at *at)
{
        check_finalizer_of(c, at, at_path(c, at));
}

/* On creation errors name the list. */
void check_finalizer_in_list(struct check *c, const struct at *at)
{
        check_finalizer_of(c, at, at_path(c, at->up));
}

/* --- nodes --- */

/* Entries are called as fields are. */
void check_node_amounts(struct check *c, const struct at *map)
{
        json_foreach_member(map->j, m) {
                struct at *e = arena_memdup(c->a, at_entry(c, map, m), sizeof(*e));

                e->kind = AT_FIELD;
                resource_amount_check(c, e);
        }
}

/* Upstream names metadata here. */
static void check_taint(struct check *c, const struct at *at, const char *list)
{
        static const char *const effects[] = { "NoSchedule", "PreferNoSchedule", "NoExecute", NULL };
        const char *path = arena_printf(c->a, "%s[%zu]", list, at->index);
        const char *key = json_get_string(at->j, "key") ?: "", *value = json_get_string(at->j, "value");
        const char *effect = json_get_string(at->j, "effect") ?: "", *messages[NAME_MESSAGES];
        unsigned faults;
        bool known = false;

        name_validate_string(c->errs, NAME_QUALIFIED, arena_printf(c->a, "%s.key", path), key);
        faults = name_check(c->a, NAME_LABEL_VALUE, value ?: "", messages);
        if (faults)
                field_error_add(c->errs, FIELD_INVALID, arena_printf(c->a, "%s.value", path), json_new_string(c->a, value), "%s%s%s",
                                messages[0], faults > 1 ? ";" : "", faults > 1 ? messages[1] : "");
        for (size_t i = 0; effects[i]; i++)
                known |= streq(effect, effects[i]);
        if (!*effect)
                field_error_add(c->errs, FIELD_REQUIRED, arena_printf(c->a, "%s.effect", path), NULL, "%s", "");
        else if (!known)
                field_error_not_supported(c->errs, arena_printf(c->a, "%s.effect", path), json_new_string(c->a, effect), effects);
        for (size_t i = 0; i < at->index; i++)
                if (streq(json_get_string(json_at(at->up->j, i), "key") ?: "", key) &&
                    streq(json_get_string(json_at(at->up->j, i), "effect") ?: "", effect)) {
                        field_error_add_text(c->errs, FIELD_DUPLICATE, path, go_struct(c, at),
                                             "taints must be unique by key and effect pair");
                        break;
                }
}

void check_node_taint(struct check *c, const struct at *at)
{
        check_taint(c, at, "metadata.taints");
}

/* What was an annotation once, as JSON. NULL: it is not there, or told under PATH. */
static struct json *annotation(struct check *c, const struct at *at, const char *key, const char *path)
{
        const char *text = json_get_string(at->j, key);
        _cleanup_error_ struct error err = ERROR_INIT;
        struct json *parsed;

        if (str_empty(text))
                return NULL;
        if (json_parse(c->a, text, strlen(text), NULL, &parsed, &err) < 0) {
                field_error_add(c->errs, FIELD_INVALID, path, json_new_string(c->a, key), "%s", error_text(&err));
                return NULL;
        }
        return parsed;
}

void check_node_annotations(struct check *c, const struct at *at)
{
        static const char taints[] = "scheduler.alpha.kubernetes.io/taints", avoided[] = "scheduler.alpha.kubernetes.io/preferAvoidPods";
        const char *path = at_path(c, at);
        struct json *parsed = annotation(c, at, taints, path);
        struct at *list = arena_memdup(c->a, at_field(c, c->root, "spec.taints"), sizeof(*list));

        list->j = parsed;
        for (size_t i = 0; i < json_len(json_is_array(parsed) ? parsed : NULL); i++)
                check_taint(c, at_item(c, list, i), arena_printf(c->a, "%s.%s", path, taints));
        parsed = annotation(c, at, avoided, arena_printf(c->a, "%s.AvoidPods", path));
        json_foreach_item(json_get(parsed, "preferAvoidPods"), pods) {
                const struct json *controller = json_path(pods, "podSignature.podController");
                const char *signature = arena_printf(c->a, "%s.%s[%zu].PodSignature", path, avoided, (size_t)pods_i);

                if (!controller)
                        field_error_add(c->errs, FIELD_REQUIRED, signature, NULL, NULL);
                else if (!json_get_bool(controller, "controller", false))
                        field_error_add_text(c->errs, FIELD_INVALID, arena_printf(c->a, "%s.PodController.Controller", signature),
                                             "false", "must point to a controller");
        }
}

/* What is wrong with the name of a feature, a path of words; NULL: nothing. */
static const char *feature_fault(const char *s)
{
        if (strlen(s) > 253)
                return "must be no more than 253 characters";
        for (const char *word = s;; word++) {
                if (word == s ? !isupper((unsigned char)*word) : !isalpha((unsigned char)*word))
                        break;
                while (isalnum((unsigned char)*word))
                        word++;
                if (!*word)
                        return NULL;
                if (*word != '/')
                        break;
        }
        return "must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or "
               "MyFeature/mySubFeature), and contain only alphanumeric characters and slashes";
}

/* Sorted, each once; of two neighbours the second one is wrong. */
void check_declared_features(struct check *c, const struct at *list)
{
        for (size_t i = 0; i < json_len(list->j); i++) {
                const struct at *at = at_item(c, list, i), *next = i + 1 < json_len(list->j) ? at_item(c, list, i + 1) : NULL;
                const char *fault = feature_fault(text_at(at));

                if (fault) {
                        _cleanup_strbuf_ struct strbuf quoted = STRBUF_INIT;

                        go_quote(&quoted, text_at(at), strlen(text_at(at)));
                        check_invalid(c, at, "invalid feature name %s: %s", strbuf_str(&quoted), fault);
                }
                if (next && streq(text_at(at), text_at(next)))
                        field_error_add(c->errs, FIELD_DUPLICATE, at_path(c, next), next->j, NULL);
                else if (next && strcmp(text_at(at), text_at(next)) > 0)
                        check_invalid(c, next, "list must be sorted alphabetically");
        }
}

void check_pod_cidrs(struct check *c, const struct at *spec)
{
        const struct at *list = at_field(c, spec, "podCIDRs");
        unsigned seen = 0;
        bool twice = json_len(list->j) > 2, bad = false;

        json_foreach_item(list->j, cidr) {
                unsigned family = strchr(json_string(cidr) ?: "", ':') ? 2 : 1;

                if (json_len(list->j) > 1 && !bad && !name_is_range(json_string(cidr) ?: "")) {
                        field_error_add(c->errs, FIELD_INTERNAL, at_path(c, list), NULL,
                                        "invalid PodCIDRs. failed to check with dual stack with error:invalid CIDR[%zu]: <nil> "
                                        "(invalid CIDR address: %s)",
                                        (size_t)cidr_i, json_string(cidr) ?: "");
                        bad = true;
                }
                twice |= (seen & family) != 0;
                seen |= family;
        }
        if (json_len(list->j) > 1 && (twice || bad))
                check_invalid(c, list, "may specify no more than one CIDR for each IP family");
}

void check_addresses_once(struct check *c, const struct at *list)
{
        for (size_t i = 0; i < json_len(list->j); i++)
                for (size_t k = 0; k < i; k++)
                        if (json_equal(json_at(list->j, i), json_at(list->j, k))) {
                                const struct at *one = at_item(c, list, i);

                                field_error_add_text(c->errs, FIELD_DUPLICATE, at_path(c, one), go_struct(c, one), NULL);
                                break;
                        }
}

void check_node_update(struct check *c, const struct at *spec)
{
        const struct at *cidrs = at_field(c, spec, "podCIDRs"), *id = at_field(c, spec, "providerID");
        const char *was = json_get_string(spec->old, "providerID");

        if (json_len(cidrs->old) && json_len(cidrs->old) != json_len(cidrs->j))
                check_forbidden(c, cidrs, "node updates may not change podCIDR except from \"\" to valid");
        else
                json_foreach_item(cidrs->old, cidr)
                        if (!json_equal(cidr, json_at(cidrs->j, cidr_i)))
                                check_forbidden(c, cidrs, "node updates may not change podCIDR except from \"\" to valid");
        if (!str_empty(was) && !streq(was, text_at(id)))
                check_forbidden(c, id, "node updates may not change providerID except from \"\" to valid");
}
