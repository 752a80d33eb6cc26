#include "CSimdJSON.h"
#include <new>
#include <simdjson.h>

static_assert(NADI_JSON_PADDING >= simdjson::SIMDJSON_PADDING, "the padding that callers give is too small");

struct nadi_json_parser {
    simdjson::dom::parser parser;
};

nadi_json_parser *nadi_json_parser_create(size_t line_bytes, size_t levels) {
    nadi_json_parser *parser = new (std::nothrow) nadi_json_parser;
    if (parser == nullptr) return nullptr;
    // simdjson refuses the level that reaches its limit, hence one more. Both halves get their memory now, so that
    // parsing never allocates.
    if (parser->parser.allocate(line_bytes, levels + 1) != simdjson::SUCCESS ||
        parser->parser.doc.allocate(line_bytes) != simdjson::SUCCESS) {
        delete parser;
        return nullptr;
    }
    return parser;
}

void nadi_json_parser_destroy(nadi_json_parser *parser) { delete parser; }

int nadi_json_parse(nadi_json_parser *parser, const uint8_t *line, size_t length, nadi_json_tape *tape) {
    simdjson::error_code error = parser->parser.parse(line, length, false).error();
    switch (error) {
    case simdjson::SUCCESS:
        tape->words = parser->parser.doc.tape.get();
        tape->strings = parser->parser.doc.string_buf.get();
        return NADI_JSON_OK;
    case simdjson::UTF8_ERROR: return NADI_JSON_INVALID_UTF8;
    case simdjson::DEPTH_ERROR: return NADI_JSON_TOO_DEEP;
    case simdjson::CAPACITY:
    case simdjson::MEMALLOC: return NADI_JSON_NO_MEMORY;
    default: return NADI_JSON_INVALID;
    }
}

#ifdef __SSE2__
#include <emmintrin.h>
#endif

const uint8_t *nadi_json_next_id(const uint8_t *start, const uint8_t *end) {
#ifdef __SSE2__
    const __m128i i = _mm_set1_epi8('i'), d = _mm_set1_epi8('d'), quote = _mm_set1_epi8('"'), escape = _mm_set1_epi8('\\');
    for (const uint8_t *place = start; place < end; place += 16) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i *>(place));
        const __m128i second = _mm_loadu_si128(reinterpret_cast<const __m128i *>(place + 1));
        const __m128i third = _mm_loadu_si128(reinterpret_cast<const __m128i *>(place + 2));
        const __m128i id = _mm_and_si128(
            _mm_and_si128(_mm_cmpeq_epi8(bytes, i), _mm_cmpeq_epi8(second, d)), _mm_cmpeq_epi8(third, quote));
        const unsigned mask = static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(id, _mm_cmpeq_epi8(bytes, escape))));
        if (mask != 0) {
            const uint8_t *found = place + __builtin_ctz(mask);
            return found < end ? found : nullptr;
        }
    }
#else
    for (const uint8_t *place = start; place < end; place++) {
        if (*place == '\\' || (place[0] == 'i' && place[1] == 'd' && place[2] == '"')) return place;
    }
#endif
    return nullptr;
}
