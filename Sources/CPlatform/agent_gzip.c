#include "include/agent.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

// 15 bits of window, and 16 more for the gzip wrapping (zlib.h, deflateInit2).
#define WINDOW (15 + 16)
#define MEMORY_LEVEL 8

struct berth_gzip {
    z_stream stream;
    int inflates;
};

berth_gzip *berth_gzip_open(int inflates) {
    berth_gzip *gzip = calloc(1, sizeof *gzip);
    if (!gzip) return NULL;
    gzip->inflates = inflates;
    int result = inflates
                     ? inflateInit2(&gzip->stream, WINDOW)
                     : deflateInit2(&gzip->stream, Z_BEST_SPEED, Z_DEFLATED, WINDOW, MEMORY_LEVEL, Z_DEFAULT_STRATEGY);
    if (result == Z_OK) return gzip;
    free(gzip);
    return NULL;
}

int berth_gzip_step(berth_gzip *gzip, const void *input, size_t *input_length, void *output, size_t *output_length,
                    int finishes) {
    z_stream *stream = &gzip->stream;
    stream->next_in = (Bytef *)input;
    stream->avail_in = (uInt)*input_length;
    stream->next_out = output;
    stream->avail_out = (uInt)*output_length;
    int result = gzip->inflates ? inflate(stream, Z_NO_FLUSH) : deflate(stream, finishes ? Z_FINISH : Z_NO_FLUSH);
    *input_length -= stream->avail_in;
    *output_length -= stream->avail_out;
    switch (result) {
    case Z_STREAM_END:
        // Another member may follow (RFC 1952, 2.2).
        if (gzip->inflates && inflateReset(stream) != Z_OK) return -EBADMSG;
        return 1;
    case Z_OK:
    case Z_BUF_ERROR: return 0;
    case Z_MEM_ERROR: return -ENOMEM;
    default: return -EBADMSG;
    }
}

void berth_gzip_close(berth_gzip *gzip) {
    if (gzip->inflates) inflateEnd(&gzip->stream);
    else deflateEnd(&gzip->stream);
    free(gzip);
}
