/* Events about objects, as client-go's recorder makes them: equal ones within 10 minutes count up
 * instead of piling up, a flood about one object is cut (25 in a burst, then one in 5 minutes).
 */
#pragma once

#include "client.h"

struct event_recorder;

/* COMPONENT: "kubelet", "default-scheduler", "deployment-controller"; HOST: the node or "". */
struct event_recorder *event_recorder_new(struct client *c, const char *component, const char *host);
void event_recorder_free(struct event_recorder *r);
/* TYPE "Normal" or "Warning". FIELD_PATH ("spec.containers{app}") may be NULL. Never parks: written
 * in the background, in order. */
void event_record(struct event_recorder *r, const struct json *object, const char *field_path, const char *type,
                  const char *reason, const char *fmt, ...) printf_like(6, 7);
