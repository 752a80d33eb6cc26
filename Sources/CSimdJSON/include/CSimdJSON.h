// A C face of simdjson's DOM parser: one line in, its tape out. No exception crosses it.
#ifndef NADI_CSIMDJSON_H
#define NADI_CSIMDJSON_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct nadi_json_parser nadi_json_parser;

nadi_json_parser *nadi_json_parser_create(void);
void nadi_json_parser_destroy(nadi_json_parser *parser);

#ifdef __cplusplus
}
#endif
#endif
