/* What several controllers do with any object: owner references, conditions, hashes, small changes. */
#pragma once

#include "../json/json.h"

/* --- owners --- */
/* The owner reference with controller: true; NULL when there is none. */
const struct json *object_controller(const struct json *object);
bool object_is_controlled_by(const struct json *object, const char *uid);
/* A reference to OWNER as its controller, blocking its foreground deletion. */
struct json *object_make_controller_ref(struct arena *a, const char *api_version, const char *kind,
                                        const struct json *owner);
bool object_has_finalizer(const struct json *object, const char *finalizer);
bool object_is_deleting(const struct json *object);

/* --- asking --- */
const char *object_name(const struct json *object);      /* never NULL */
const char *object_namespace(const struct json *object); /* never NULL */
const char *object_uid(const struct json *object);       /* never NULL */
const char *object_annotation(const struct json *object, const char *key); /* NULL */
const char *object_label(const struct json *object, const char *key);      /* NULL */
/* metav1.Time at PATH as ns; 0 when absent or malformed. */
int64_t object_time(const struct json *object, const char *path);

/* --- changing a copy --- */
/* A copy whose metadata (with labels, annotations, finalizers) and status may be changed; the rest is shared. */
struct json *object_editable(struct arena *a, const struct json *object);
void object_set_annotation(struct arena *a, struct json *object, const char *key, const char *value); /* NULL: away */

/* Sets condition TYPE in the array CONDITIONS. lastTransitionTime becomes NOW (ns) only where the status changes.
 * False when all was so already. */
bool condition_set(struct arena *a, struct json *conditions, const char *type, const char *status, const char *reason,
                   const char *message, int64_t now);
struct json *condition_find(const struct json *conditions, const char *type);
void condition_remove(struct json *conditions, const char *type);

/* --- intOrString ("25%", 3) --- */
/* Of TOTAL, rounded up or down; FALLBACK when it is neither. */
int64_t int_or_percent(const struct json *v, int64_t total, bool round_up, int64_t fallback);

/* --- hashes --- */
/* FNV-1a of the canonical dump of TEMPLATE and, when > 0, of the collision count, in decimal and then
 * in the safe alphabet, as upstream's pod-template-hash looks ("7d4b9c8f5d"). */
char *template_hash(struct arena *a, const struct json *template, int64_t collisions);
char *safe_encode(struct arena *a, const char *s); /* rand.SafeEncodeString */
