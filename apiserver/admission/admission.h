/* Admission: what is let in, after who may. Mutating plugins first, then validating ones, in upstream's order. */
#pragma once

#include "../request.h"

struct store;

enum admission_op { ADMISSION_CREATE = 1, ADMISSION_UPDATE = 2, ADMISSION_DELETE = 4, ADMISSION_CONNECT = 8 };

struct admission_attributes {
        struct api_request *request;
        enum admission_op op;
        const struct resource *res;
        const char *subresource;        /* "" for none */
        const char *namespace, *name;   /* as they will be stored */
        struct json *object;            /* to be changed by mutating plugins; NULL on delete */
        const struct json *old;         /* NULL on create */
        const struct json *options;     /* CreateOptions, UpdateOptions, DeleteOptions; may be NULL */
        bool dry_run;
        bool reinvoke, reinvoking;      /* private: a webhook asks for a second round of mutation; it is running */
        struct rounds *webhooks, *policies; /* private: of those that may be asked to mutate once more */
        struct json *charged;           /* private: what quotas were charged, for admission_undo() */
};

struct admission_plugin {
        const char *name;               /* "NamespaceLifecycle" */
        unsigned ops;                   /* enum admission_op bits it wants to see */
        const struct status *(*mutate)(struct admission_attributes *at);
        const struct status *(*validate)(struct admission_attributes *at);
};
/* In order; a NULL name ends it. */
extern const struct admission_plugin *const admission_plugins[];

const struct status *admission_mutate(struct admission_attributes *at);
const struct status *admission_validate(struct admission_attributes *at);
/* For a request that opens a connection (exec, attach, portforward, proxy). NULL: it may. */
const struct status *admission_connect(struct api_request *r);
/* The write that admission let in did not happen after all (quota gives back). */
void admission_undo(struct admission_attributes *at);

/* Called by auth_init(). STORE: where the policies (namespaces, limit ranges, quotas ...) are read. */
void admission_init(struct loop *loop, struct store *store);
void admission_deinit(void);
