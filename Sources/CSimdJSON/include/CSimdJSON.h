// A C face of simdjson's DOM parser: one line in, its tape out. No exception crosses it.
#ifndef NADI_CSIMDJSON_H
#define NADI_CSIMDJSON_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct nadi_json_parser nadi_json_parser;

// The tape of the last line parsed (simdjson's doc/tape.md): words, and the bytes of the strings that they point to,
// each with a 32-bit length before it and a NUL behind it. Both belong to the parser and live until its next line.
// Behind the last string there are at least 8 bytes that may be read.
typedef struct nadi_json_tape {
    const uint64_t *words;
    const uint8_t *strings;
} nadi_json_tape;

enum nadi_json_status {
    NADI_JSON_OK = 0,
    NADI_JSON_INVALID_UTF8 = 1,
    NADI_JSON_TOO_DEEP = 2,
    NADI_JSON_INVALID = 3,
    NADI_JSON_NO_MEMORY = 4
};

// How many bytes behind a line's last one must be readable, whatever they hold.
enum { NADI_JSON_PADDING = 64 };

// A parser for lines of at most line_bytes bytes whose objects and arrays nest at most levels deep; NULL without memory.
// It may be used by one thread at a time.
nadi_json_parser *nadi_json_parser_create(size_t line_bytes, size_t levels);
void nadi_json_parser_destroy(nadi_json_parser *parser);

// Parses exactly one JSON value in line[0..<length]. NADI_JSON_PADDING bytes behind it must be readable.
// Fills *tape when it returns NADI_JSON_OK. Never allocates.
int nadi_json_parse(nadi_json_parser *parser, const uint8_t *line, size_t length, nadi_json_tape *tape);

// The first place in [start, end) where a backslash stands, or the end of a string that ends in id; NULL where there is none.
// NADI_JSON_PADDING bytes behind end must be readable.
const uint8_t *nadi_json_next_id(const uint8_t *start, const uint8_t *end);

#ifdef __cplusplus
}
#endif
#endif
