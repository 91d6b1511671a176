/* What rules about events cannot say: the two groups that serve them do not check the same. */
#include "metadata.h"

#include "functions.h"

static void needs_unset(struct check *c, const struct at *at, const char *field)
{
        const struct at *f = at_field(c, at, field);

        if (!at_empty(f) && !(json_is_object(f->j) && !json_len(f->j)))
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, f), "\"\"", "needs to be unset");
}

static void too_long(struct check *c, const struct at *at, size_t max)
{
        if (strlen(text_at(at)) > max)
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), "\"\"", "can have at most %zu characters", max);
}

/* The old API's rules: only events with an eventTime are checked at all. */
static void check_legacy_event(struct check *c, const struct at *at, bool strict)
{
        const struct at *about = at_field(c, at, "involvedObject.namespace"), *controller = at_field(c, at, "reportingComponent");
        const struct at *instance = at_field(c, at, "reportingInstance"), *action = at_field(c, at, "action");
        const struct at *reason = at_field(c, at, "reason"), *time = at_field(c, at, "eventTime");
        const char *ns = json_path_string(at->j, "metadata.namespace"), *of = text_at(about);
        const char *path = strict ? "reportingController" : "reportingComponent";

        ns = ns ? ns : "";
        if (!at_set(time)) {
                if (*of ? !streq(ns, of) : *ns && !streq(ns, "default"))
                        check_invalid(c, about, "does not match event.namespace");
                return;
        }
        if (!*of && !streq(ns, "default") && !streq(ns, "kube-system"))
                check_invalid(c, about, "does not match event.namespace");
        if (!*text_at(controller))
                field_error_add(c->errs, FIELD_REQUIRED, path, NULL, "%s", "");
        name_validate_string(c->errs, NAME_QUALIFIED, path, text_at(controller));
        if (!*text_at(instance))
                check_required(c, instance, "");
        too_long(c, instance, 128);
        if (!*text_at(action))
                check_required(c, action, "");
        too_long(c, action, 128);
        if (!*text_at(reason))
                check_required(c, reason, "");
        too_long(c, reason, 128);
        too_long(c, at_field(c, at, "message"), 1024);
}

static void check_series(struct check *c, const struct at *at)
{
        const struct at *series = at_field(c, at, "series");

        if (!at_set(series))
                return;
        if (json_get_int(series->j, "count", 0) < 2)
                field_error_add_text(c->errs, FIELD_INVALID, "series.count", "\"\"", "should be at least 2");
        if (!json_get_string(series->j, "lastObservedTime"))
                check_required(c, at_field(c, series, "lastObservedTime"), "");
}

void check_event(struct check *c, const struct at *at)
{
        static const char *const fixed[] = { "involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp",
                                             "count", "reason", "type", "eventTime", "action", "related", "reportingComponent",
                                             "reportingInstance" };
        bool strict = c->r && c->r->res && streq(c->r->res->group, "events.k8s.io");
        const struct at *type = at_field(c, at, "type");

        check_legacy_event(c, at, strict);
        if (!strict)
                return;
        if (!c->old) {
                metadata_validate(c, NAME_DNS1123_SUBDOMAIN);
                check_finalizer_names(c, at_field(c, at, "metadata.finalizers"));
                check_series(c, at);
                if (!at_set(at_field(c, at, "eventTime")))
                        check_required(c, at_field(c, at, "eventTime"), "");
                if (!streq(text_at(type), "Normal") && !streq(text_at(type), "Warning"))
                        field_error_add_text(c->errs, FIELD_INVALID, "type", "\"\"", "has invalid value: %s", text_at(type));
                needs_unset(c, at, "firstTimestamp");
                needs_unset(c, at, "lastTimestamp");
                needs_unset(c, at, "count");
                needs_unset(c, at, "source");
                return;
        }
        metadata_validate_update(c);
        check_finalizer_names(c, at_field(c, at, "metadata.finalizers"));
        if (!json_equal(json_get(at->j, "series"), json_get(c->old, "series")))
                check_series(c, at);
        for (size_t i = 0; i < ARRAY_SIZE(fixed); i++) {
                struct at *field = arena_memdup(c->a, at_field(c, at, fixed[i]), sizeof(*field));

                if (streq(fixed[i], "reportingComponent"))
                        field->shown = "reportingController"; /* as this group spells it */
                check_immutable(c, field);
        }
}
