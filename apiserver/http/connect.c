/* exec, attach, port-forward, logs and proxy: bytes to and from the node.
 *
 * The tunnel is not written yet: the object is looked up as upstream does, so that a missing one is a
 * 404, and what exists is answered with a clear error.
 */
#include "../registry/registry.h"
#include "verbs.h"

void connect_subresource(struct api_request *r)
{
        struct json *obj;
        const struct status *st = registry_get(r, r->res, r->namespace, r->name, &obj);

        if (!st)
                st = status_make(r->arena, 501, "NotImplemented", NULL, "%s of %s is not served by this API server yet",
                                 r->subresource, r->res->name);
        answer_status(r, st);
}
