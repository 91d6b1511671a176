/* Which kind has which strategy. */
#include "kinds.h"

static const struct strategy *const strategies[] = {
        &pod_strategy,        &service_strategy,    &namespace_strategy,   &volume_strategy,
        &claim_strategy,      &account_strategy,    &secret_strategy,      &limit_range_strategy,
        &core_event_strategy, &event_strategy,      &job_strategy,         &daemon_set_strategy,
        &controller_strategy, &csr_strategy,        &definition_strategy,  &api_service_strategy,
        &endpoint_slice_strategy, &attributes_strategy, &device_claim_strategy, &device_template_strategy,
        &autoscaler_strategy,
};

const struct strategy *registry_strategy(const struct resource *res)
{
        if (res->crd || res->strategy)
                return res->strategy;
        for (size_t i = 0; i < ARRAY_SIZE(strategies); i++)
                if (streq(strategies[i]->kind, res->kind) && streq(strategies[i]->group, res->group))
                        return strategies[i];
        return NULL;
}

const struct status *registry_create_subresource(struct api_request *r, const struct resource *res, const char *namespace,
                                                 const char *name, const char *subresource, struct json *body,
                                                 struct json **ret)
{
        if (streq(res->kind, "Pod") && streq(subresource, "binding"))
                return pod_bind(r, res, namespace, name, body, ret);
        if (streq(res->kind, "Pod") && streq(subresource, "eviction"))
                return pod_evict(r, res, namespace, name, body, ret);
        return status_method_not_supported(r->arena, res, "create");
}
