/* Shared by prober.c and action.c. */
#pragma once

#include "../../lib/http/client.h"
#include "prober.h"

struct prober {
        struct loop *loop;
        struct runtime *runtime;
        struct prober_ops ops;
        struct http_client *http; /* made when first needed */
};
