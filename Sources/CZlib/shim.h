// inflateInit2 is a macro, which Swift cannot call.
#ifndef NADI_CZLIB_SHIM_H
#define NADI_CZLIB_SHIM_H
#include <zlib.h>

static inline int nadi_inflate_init_gzip(z_stream *stream) {
    return inflateInit2(stream, 15 + 16);
}
#endif
