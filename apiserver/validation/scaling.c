/* What rules about autoscalers and budgets cannot say. */
#include "../../lib/meta/quantity.h"
#include "functions.h"
#include "resources.h"

void check_max_replicas(struct check *c, const struct at *at)
{
        int64_t max = 0, min = json_get_int(at->up->j, "minReplicas", 0);

        json_to_int(at->j, &max);
        if (max == 0)
                check_required(c, at, "must be set and greater than 0");
        else if (max < 0)
                check_invalid(c, at, "must be greater than or equal to 1");
        if (json_get(at->up->j, "minReplicas") && max < min)
                field_error_add(c->errs, FIELD_INVALID, at_path(c, at), json_new_int(c->a, max),
                                "must be greater than or equal to `minReplicas`");
}

/* Group and version, with at most one slash. */
static bool parsed_version(struct check *c, const struct at *at)
{
        const char *slash = strchr(text_at(at), '/');

        if (!slash || !strchr(slash + 1, '/'))
                return true;
        check_invalid(c, at, "unexpected GroupVersion string: %s", text_at(at));
        return false;
}

void check_object_version(struct check *c, const struct at *at)
{
        parsed_version(c, at);
}

/* What scales lies in a group, but for ReplicationControllers. What was let in before may stay. */
void check_target_version(struct check *c, const struct at *at)
{
        const char *kind = json_get_string(at->up->j, "kind") ?: "", *text = text_at(at), *slash = strchr(text, '/');

        if (c->old && streq(kind, json_get_string(at->up->old, "kind") ?: "") &&
            streq(text, json_get_string(at->up->old, "apiVersion") ?: ""))
                return;
        if (parsed_version(c, at) && (!slash || slash == text) && !streq(kind, "ReplicationController"))
                check_invalid(c, at, "apiVersion must specify API group");
}

/* --- metrics --- */

static const struct {
        const char *field, *type, *rules;
} metric_sources[] = {
        { "object", "Object", "ObjectMetric" },
        { "external", "External", "ExternalMetric" },
        { "pods", "Pods", "PodsMetric" },
        { "resource", "Resource", "ResourceMetric" },
        { "containerResource", "ContainerResource", "ContainerMetric" },
};

/* The first source is looked into; then there must be just the one that the type names. */
void check_metric_sources(struct check *c, const struct at *metric)
{
        const char *type = json_get_string(metric->j, "type") ?: "";
        const struct at *missing = NULL;
        bool known = false;
        unsigned n = 0;

        for (size_t i = 0; i < ARRAY_SIZE(metric_sources); i++) {
                const struct at *source = at_field(c, metric, metric_sources[i].field);

                if (at_set(source) && n++ == 0)
                        rules_use(c, metric_sources[i].rules, source);
                if (streq(type, metric_sources[i].type)) {
                        known = true;
                        missing = at_set(source) ? NULL : source;
                }
        }
        if (missing)
                check_required(c, missing, "must populate information for the given metric source");
        if (!known)
                rules_use(c, "MetricType", metric);
        for (size_t i = 0; n != 1 && i < ARRAY_SIZE(metric_sources); i++) {
                const struct at *source = at_field(c, metric, metric_sources[i].field);

                if (at_set(source) && !streq(type, metric_sources[i].type))
                        check_forbidden(c, source, "must populate the given metric source only");
        }
}

void check_container_resource_name(struct check *c, const struct at *at)
{
        resource_name_for_containers(c, at_path(c, at), text_at(at));
}

void check_positive(struct check *c, const struct at *at)
{
        struct quantity q;

        if ((json_is_string(at->j) || json_is_number(at->j)) && quantity_parse(at->j->str, &q) == 0 && q.nano <= 0)
                check_invalid(c, at, "must be positive");
}

/* Without pods only what is measured elsewhere tells that some are needed. */
bool cond_no_metric_at_zero(struct check *c, const struct at *at)
{
        unused(c);
        json_foreach_item(at->j, metric) {
                const char *type = json_get_string(metric, "type");

                if (streq(type, "Object") || streq(type, "External"))
                        return false;
        }
        return true;
}
