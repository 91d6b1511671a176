/* What a HorizontalPodAutoscaler decides, apart from how its numbers are got. */
#pragma once

#include "controllers.h"

#define HPA_RECOMMENDATIONS 64

/* What one autoscaler remembers between its rounds: recommendations, so that it does not follow every dip, and its own
 * changes, so that it goes no faster than its behavior allows. */
struct hpa_memory {
        struct {
                int64_t at, replicas;
        } recommended[HPA_RECOMMENDATIONS], changed[HPA_RECOMMENDATIONS];
        size_t n_recommended, n_changed; /* how many ever: the newest is at (n - 1) % HPA_RECOMMENDATIONS */
};

struct hpa_input {
        const struct json *hpa;
        const struct json *scale;  /* autoscaling/v1 Scale; NULL: it could not be had, and why */
        const char *scale_error;
        struct object_list pods;   /* those of the scale's selector */
        const struct json *metrics; /* metrics.k8s.io PodMetricsList; NULL: it could not be had, and why */
        const char *metrics_error;
        int64_t now, since;
        struct hpa_memory *memory;
};
struct hpa_output {
        struct json *status;
        int64_t replicas;          /* what the target is to be set to; -1: it stays */
        const char *reason;        /* of the change */
        struct {
                const char *type, *reason, *message;
        } events[4];
        size_t n_events;
};
void hpa_decide(struct arena *a, const struct hpa_input *in, struct hpa_output *ret);
/* After the target was set, or (ERROR) could not be: says so in the status and the events. */
void hpa_rescaled(struct arena *a, const struct hpa_input *in, const char *error, struct hpa_output *out);
