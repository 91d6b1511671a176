/* The kinds that need more than data: their strategies, and what they share. */
#pragma once

#include "../internal.h"

extern const struct strategy pod_strategy, service_strategy, namespace_strategy, volume_strategy, claim_strategy,
        account_strategy, secret_strategy, limit_range_strategy, event_strategy, core_event_strategy, job_strategy,
        daemon_set_strategy, controller_strategy, csr_strategy, definition_strategy, api_service_strategy,
        endpoint_slice_strategy, attributes_strategy, device_claim_strategy, device_template_strategy,
        autoscaler_strategy;

/* binding.c, eviction.c */
const struct status *pod_bind(struct api_request *r, const struct resource *res, const char *namespace, const char *name,
                              struct json *body, struct json **ret);
const struct status *pod_evict(struct api_request *r, const struct resource *res, const char *namespace, const char *name,
                               struct json *body, struct json **ret);
