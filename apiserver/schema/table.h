/* meta.k8s.io: objects as Table (what kubectl prints) and as PartialObjectMetadata.
 *
 * Written straight into a string builder, one row at a time, so that a list of ten thousand objects
 * needs the memory of one tree.
 */
#pragma once

#include "schema.h"

enum table_include { TABLE_METADATA, TABLE_NONE, TABLE_OBJECT };
/* "" and "Metadata", "None", "Object"; -EINVAL: anything else. */
int table_include_parse(const char *s, enum table_include *ret);

/* `{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":...,"columnDefinitions":[...],"rows":[`
 * VERSION: "v1" or "v1beta1". LIST_META: the metadata object of the list (resourceVersion, continue,
 * ...), or for a single object {resourceVersion}. COLUMNS: false in watch events after the first
 * (columnDefinitions: [] as upstream). */
void table_begin(struct strbuf *out, const struct resource *res, const char *version, const struct json *list_meta,
                 bool columns);
/* One row; writes the comma before all but the first (FIRST). OBJ in the version of RES. NOW: real time in ns. */
void table_row(struct strbuf *out, const struct resource *res, const struct json *obj, enum table_include include,
               const char *version, int64_t now, bool first);
/* Rows of objects as text, as json_write() made them: only what the cells need becomes a tree. The reader lives in A. */
struct table_reader;
struct table_reader *table_reader_new(struct arena *a, const struct resource *res, enum table_include include,
                                      const char *version);
/* False, and nothing is written: TEXT is no object. */
bool table_row_text(struct strbuf *out, struct table_reader *t, const char *text, size_t len, int64_t now, bool first);
/* `]}` (or `"rows":null` had to be: pass n_rows). */
void table_end(struct strbuf *out, const struct resource *res, size_t n_rows);
/* The columns of /scale bodies: pass it as RES. */
extern const struct resource table_scale, table_custom_scale;

/* A Status is never converted; kinds without columns of their own have Name and Created At. */

/* {"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/<version>","metadata":{...}} */
void partial_object_metadata(struct strbuf *out, const struct json *obj, const char *version);
/* The same of an object as text. False, and nothing is written: it has no metadata. */
bool partial_object_text(struct strbuf *out, const char *text, size_t len, const char *version);

/* How kubectl prints a duration: "5m30s", "3d4h" (duration.HumanDuration). BUF: 32 bytes at least. Returns BUF. */
char *human_duration(int64_t ns, char *buf);
