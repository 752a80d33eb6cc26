#include "CSimdJSON.h"
#include <new>
#include <simdjson.h>

struct nadi_json_parser {
    simdjson::dom::parser parser;
};

nadi_json_parser *nadi_json_parser_create(void) { return new (std::nothrow) nadi_json_parser; }
void nadi_json_parser_destroy(nadi_json_parser *parser) { delete parser; }
