/* Workloads: the selector that a Job gets, the template generation of a DaemonSet. */
#include "kinds.h"

#include <stdio.h>

static void set_missing(struct arena *a, struct json *obj, const char *key, const char *value)
{
        if (!json_get(obj, key))
                json_set_string(a, obj, key, value);
}

/* Labels by which a Job finds its pods, unless it brings its own selector. */
static void job_prepare_create(struct api_request *r, struct json *job)
{
        struct arena *a = r->arena;
        struct json *spec = json_get(job, "spec"), *labels, *match, *own = json_path(job, "metadata.labels");
        bool none = json_len(own) == 0;
        const char *uid = meta_string(job, "uid"), *name = meta_string(job, "name");

        if (!spec || json_get_bool(spec, "manualSelector", false))
                return;
        labels = json_ensure_object(
                a, json_ensure_object(a, json_ensure_object(a, spec, "template"), "metadata"), "labels");
        set_missing(a, labels, "job-name", name);
        set_missing(a, labels, "batch.kubernetes.io/job-name", name);
        set_missing(a, labels, "controller-uid", uid);
        set_missing(a, labels, "batch.kubernetes.io/controller-uid", uid);
        if (none) /* those that defaulting took from the template are the same map */
                json_path_set(a, job, "metadata.labels", json_clone(a, labels));
        match = json_ensure_object(a, json_ensure_object(a, spec, "selector"), "matchLabels");
        set_missing(a, match, "batch.kubernetes.io/controller-uid", uid);
}

static void job_warn_delete(struct api_request *r, const struct json *options)
{
        if (!json_get(options, "propagationPolicy") && !json_get(options, "orphanDependents"))
                request_warn(r, "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to "
                                "remove them or set propagationPolicy=Orphan to suppress this warning");
}

const struct strategy job_strategy = {
        .group = "batch",
        .kind = "Job",
        .prepare_create = job_prepare_create,
        .warn_delete = job_warn_delete,
        .orphans_by_default = true,
};

/* --- daemon sets: the template's generation lives on in an annotation --- */

#define TEMPLATE_GENERATION "deprecated.daemonset.template.generation"

static int64_t template_generation(const struct json *ds)
{
        const char *text = json_get_string(json_path(ds, "metadata.annotations"), TEMPLATE_GENERATION);

        return text ? strtoll(text, NULL, 10) : 0;
}

static void set_template_generation(struct arena *a, struct json *ds, int64_t n)
{
        struct json *all = json_ensure_object(a, json_get(ds, "metadata"), "annotations");

        json_set(a, all, TEMPLATE_GENERATION, json_new_stringf(a, "%lld", (long long)n));
}

static void daemon_set_complete(struct arena *a, struct json *ds)
{
        set_template_generation(a, ds, template_generation(ds));
}

static void daemon_set_prepare_create(struct api_request *r, struct json *ds)
{
        int64_t n = template_generation(ds);

        set_template_generation(r->arena, ds, n < 1 ? 1 : n);
}

static void daemon_set_prepare_update(struct api_request *r, struct json *ds, const struct json *old, const char *sub)
{
        int64_t n = template_generation(old);

        if (!*sub && !json_equal(json_path(ds, "spec.template"), json_path(old, "spec.template")))
                n++;
        set_template_generation(r->arena, ds, n);
}

const struct strategy daemon_set_strategy = {
        .group = "apps",
        .kind = "DaemonSet",
        .complete = daemon_set_complete,
        .prepare_create = daemon_set_prepare_create,
        .prepare_update = daemon_set_prepare_update,
};

/* What version 1 has in annotations has fields in version 2: there these are nobody's. */
static void autoscaler_complete(struct arena *a, struct json *obj)
{
        static const char *const keys[] = { "metrics", "behavior", "current-metrics", "conditions" };
        struct json *all = json_path(obj, "metadata.annotations");

        if (!json_len(all) || !streq(json_get_string(obj, "apiVersion"), "autoscaling/v2"))
                return;
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
                json_del(all, arena_join(a, "autoscaling.alpha.kubernetes.io/", keys[i], NULL));
        if (!json_len(all))
                json_path_del(obj, "metadata.annotations");
}

const struct strategy autoscaler_strategy = {
        .group = "autoscaling",
        .kind = "HorizontalPodAutoscaler",
        .complete = autoscaler_complete,
};
