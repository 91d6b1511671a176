/* The API server's own Service: default/kubernetes with its Endpoints and EndpointSlice. */
#pragma once

#include "apiserver.h"

/* Creates what is missing and corrects the addresses. On a fiber, after the namespaces are there. R: a
 * request of the server itself. NULL, or what went wrong. */
const struct status *kubernetes_service_ensure(struct api_request *r);
/* The address that clients are told: --advertise-address, else the bind address, else that of the default
 * route's interface. In the arena. */
const char *advertise_address(const struct apiserver *s, struct arena *a);
